package boxoffice

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"boxoffice/tools/devstack/internal/ports"
)

// upScreen is what stands on the terminal when all is up.
func (s *stack) upScreen() string {
	var b strings.Builder
	b.WriteString("\nBoxoffice is up.\n\n")
	var gateway string
	for _, i := range s.apps {
		if i.ID != front {
			continue
		}
		url := "http://" + ports.Addr(i.Port)
		if gateway == "" {
			gateway = url
		}
		row(&b, i.name, url)
	}
	s.commonRows(&b)
	if s.secrets.adminInvented {
		row(&b, "admin", s.secrets.adminEmail+", with the password in "+s.short(s.admin()))
	} else {
		row(&b, "admin", s.secrets.adminEmail+", with the password from your environment")
	}
	if gateway != "" {
		s.tryLines(&b, gateway)
	}
	s.readyLine(&b)
	return b.String()
}

// tryLines writes commands that work when they are pasted, more than once. The
// password is in none of them.
func (s *stack) tryLines(b *strings.Builder, gateway string) {
	fmt.Fprintf(b, "\n  curl -s %s/readyz\n  curl -s %s/api/events\n", gateway, gateway)
	if s.secrets.adminInvented {
		fmt.Fprintf(b, "  . %s\n", shellQuotedIfNeeded(s.sourced(s.admin())))
	}
	const body = `"{\"email\":\"$ADMIN_EMAIL\",\"password\":\"$ADMIN_PASSWORD\"}"`
	fmt.Fprintf(b, "  curl -s %s/api/auth/login -H 'Content-Type: application/json' -d %s\n", gateway, body)
}

// infraScreen is what stands on the terminal when the stores are up.
func (s *stack) infraScreen() string {
	var b strings.Builder
	b.WriteString("\nThe stores are up.\n\n")
	s.commonRows(&b)
	if s.file != nil {
		fmt.Fprintf(&b, "\n  In another terminal:\n  . %s && dapr run -f %s\n",
			shellQuotedIfNeeded(s.sourced(s.daprEnv())), shellQuotedIfNeeded(s.short(s.runFilePath())))
	}
	s.readyLine(&b)
	return b.String()
}

func (s *stack) commonRows(b *strings.Builder) {
	switch j := s.stores.jaeger; {
	case j.mustBuild():
		row(b, "traces", "begin when Jaeger is built, in the background; a line says when")
	case j.wanted:
		row(b, "traces", s.tracesPage())
	case j.own:
		row(b, "traces", "go to $OTEL_EXPORTER_OTLP_ENDPOINT")
	default:
		row(b, "traces", "off")
	}
	row(b, "nats", s.stores.nats.where())
	row(b, "redis", s.stores.redis.where())
	row(b, "mongo", s.stores.mongo.where())
	row(b, "data", s.short(s.dir))
	row(b, "logs", s.short(s.logs())+", one file for each process")
}

// tracesPage tells where Jaeger's traces are.
func (s *stack) tracesPage() string {
	return fmt.Sprintf("http://%s/api/traces?service=%s (the API; a Jaeger built here has no page)",
		ports.Addr(s.stores.jaeger.port), front)
}

// readyLine is the line that scripts wait for.
func (s *stack) readyLine(b *strings.Builder) {
	fmt.Fprintf(b, "\nready in %s\n", time.Since(s.started).Round(100*time.Millisecond))
}

// where says where a server is. The user's own is named by its variable: its
// address may hold a password.
func (c server) where() string {
	if c.own {
		return c.kind
	}
	return ports.Addr(c.port) + " (" + c.kind + ")"
}

// short is a path as seen from the top of the tree, where that is shorter.
func (s *stack) short(path string) string {
	if rel, err := filepath.Rel(s.Root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// sourced is short for a file that a shell sources: a shell looks for a name
// without a slash on the PATH.
func (s *stack) sourced(path string) string {
	short := s.short(path)
	if !strings.ContainsRune(short, filepath.Separator) {
		return "." + string(filepath.Separator) + short
	}
	return short
}

func row(b *strings.Builder, name, text string) { fmt.Fprintf(b, "  %-10s %s\n", name, text) }
