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
		row(&b, "admin", fmt.Sprintf("%s  %s  (%s)", s.secrets.adminEmail, s.secrets.adminPassword, s.short(s.admin())))
	} else {
		row(&b, "admin", s.secrets.adminEmail+", with the password from your environment")
	}
	if gateway != "" {
		s.tryLines(&b, gateway)
	}
	s.readyLine(&b)
	return b.String()
}

// tryLines are three commands that work when pasted, again and again.
func (s *stack) tryLines(b *strings.Builder, gateway string) {
	password := s.secrets.adminPassword
	if !s.secrets.adminInvented {
		password = "$ADMIN_PASSWORD"
	}
	body := fmt.Sprintf(`"{\"email\":\"%s\",\"password\":\"%s\"}"`, s.secrets.adminEmail, password)
	fmt.Fprintf(b, "\n  curl -s %s/readyz\n  curl -s %s/api/events\n", gateway, gateway)
	fmt.Fprintf(b, "  curl -s %s/api/auth/login -H 'Content-Type: application/json' -d %s\n", gateway, body)
}

// infraScreen is what stands on the terminal when the stores are up.
func (s *stack) infraScreen() string {
	var b strings.Builder
	b.WriteString("\nThe stores are up.\n\n")
	s.commonRows(&b)
	if s.file != nil {
		fmt.Fprintf(&b, "\n  In another terminal:\n  . %s && dapr run -f %s\n", s.short(s.daprEnv()), s.short(s.runFilePath()))
	}
	s.readyLine(&b)
	return b.String()
}

func (s *stack) commonRows(b *strings.Builder) {
	switch j := s.stores.jaeger; {
	case j.wanted:
		row(b, "traces", fmt.Sprintf("http://%s/api/traces?service=%s (the API; a Jaeger built here has no page)", ports.Addr(j.port), front))
	case j.own:
		row(b, "traces", "go to $OTEL_EXPORTER_OTLP_ENDPOINT")
	default:
		row(b, "traces", "off")
	}
	row(b, "nats", s.stores.nats.where())
	row(b, "redis", s.stores.redis.where())
	row(b, "mongo", s.stores.mongo.where())
	row(b, "data", s.short(s.dir))
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

func row(b *strings.Builder, name, text string) { fmt.Fprintf(b, "  %-10s %s\n", name, text) }
