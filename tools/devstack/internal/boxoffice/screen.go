package boxoffice

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"boxoffice/tools/devstack/internal/ports"
)

// upScreen returns what Up prints when everything is ready.
func (s *stack) upScreen() string {
	var b strings.Builder
	b.WriteString("\nBoxoffice is up.\n\n")
	var gateway string
	for _, i := range s.apps {
		if i.ID != gatewayApp {
			continue
		}
		url := "http://" + ports.Addr(i.Port)
		if gateway == "" {
			gateway = url
		}
		row(&b, i.name, url)
	}
	s.commonRows(&b)
	if s.mtls.wanted {
		row(&b, "mtls", "on; Sentry at "+ports.Addr(s.mtls.port))
	}
	if s.secrets.adminGenerated {
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

// tryLines writes commands to paste into a shell. They can be repeated, and do
// not contain the password.
func (s *stack) tryLines(b *strings.Builder, gateway string) {
	fmt.Fprintf(b, "\n  curl -s %s/readyz\n  curl -s %s/api/events\n", gateway, gateway)
	if s.secrets.adminGenerated {
		fmt.Fprintf(b, "  . %s\n", shellWord(s.sourced(s.admin())))
	}
	const body = `"{\"email\":\"$ADMIN_EMAIL\",\"password\":\"$ADMIN_PASSWORD\"}"`
	fmt.Fprintf(b, "  curl -s %s/api/auth/login -H 'Content-Type: application/json' -d %s\n", gateway, body)
}

// infraScreen returns what Infra prints when the stores are ready.
func (s *stack) infraScreen() string {
	var b strings.Builder
	b.WriteString("\nThe stores are up.\n\n")
	s.commonRows(&b)
	if s.file != nil {
		fmt.Fprintf(&b, "\n  In another terminal:\n  . %s && dapr run -f %s\n",
			shellWord(s.sourced(s.daprEnv())), shellWord(s.short(s.runFilePath())))
	}
	s.readyLine(&b)
	return b.String()
}

func (s *stack) commonRows(b *strings.Builder) {
	switch j := s.stores.jaeger; {
	case j.mustBuild():
		row(b, "traces", "begin when Jaeger is built, in the background; a line will say so")
	case j.wanted:
		row(b, "traces", s.tracesURL())
	case j.external:
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

// tracesURL returns the URL of the gateway's traces, with an explanation.
func (s *stack) tracesURL() string {
	return fmt.Sprintf("http://%s/api/traces?service=%s (the API; a Jaeger built here has no web page)",
		ports.Addr(s.stores.jaeger.port), gatewayApp)
}

// readyLine writes the line that scripts wait for.
func (s *stack) readyLine(b *strings.Builder) {
	fmt.Fprintf(b, "\nready in %s\n", time.Since(s.started).Round(100*time.Millisecond))
}

// where returns the address of a server. For an external one it returns the name
// of its variable, because the address may contain a password.
func (c server) where() string {
	if c.external {
		return c.kind
	}
	return ports.Addr(c.port) + " (" + c.kind + ")"
}

// short returns a path relative to the top of the tree if it lies below it.
func (s *stack) short(path string) string {
	if rel, err := filepath.Rel(s.Root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// sourced returns the short path of a file for a shell to source. It contains a
// slash; otherwise the shell would look for the file on the PATH.
func (s *stack) sourced(path string) string {
	short := s.short(path)
	if !strings.ContainsRune(short, filepath.Separator) {
		return "." + string(filepath.Separator) + short
	}
	return short
}

func row(b *strings.Builder, name, text string) { fmt.Fprintf(b, "  %-10s %s\n", name, text) }
