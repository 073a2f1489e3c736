package boxoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/supervise"
)

// tracing is Jaeger, or whatever the user sends traces to.
type tracing struct {
	wanted   bool
	own      bool
	program  string // empty: to be built
	first    bool   // the program is a Jaeger 1, which is configured otherwise
	port     int    // of its page and API
	otlp     int
	others   []int // ports that it must have and nobody asks for
	endpoint string
}

// chooseTracing looks for where traces can go.
func (s *stack) chooseTracing() (tracing, error) {
	if e := s.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); e != "" {
		return tracing{own: true, endpoint: e}, nil
	}
	if s.Getenv("JAEGER") == "off" {
		return tracing{}, nil
	}
	c := tracing{wanted: true}
	if program, err := exec.LookPath("jaeger"); err == nil {
		c.program = program
	} else if program, err := exec.LookPath("jaeger-all-in-one"); err == nil {
		c.program, c.first = program, true
	}
	var err error
	if c.port, err = s.port(jaegerPort); err != nil {
		return c, err
	}
	if c.otlp, err = s.port(otlpPort); err != nil {
		return c, err
	}
	for range 5 {
		port, err := s.ports.Take()
		if err != nil {
			return c, err
		}
		c.others = append(c.others, port)
	}
	c.endpoint = "http://" + ports.Addr(c.otlp)
	return c, nil
}

// mustBuild reports whether Jaeger is wanted and has not been built yet.
func (c tracing) mustBuild() bool { return c.wanted && c.program == "" }

func (s *stack) jaegerTarget() buildcache.Target {
	return s.tool("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
}

func (s *stack) adoptJaeger(b *buildcache.Built) { s.stores.jaeger.program = b.Binary("jaeger") }

// jaegerProcess is Jaeger with every server that it has on the loopback
// interface.
func (s *stack) jaegerProcess() (supervise.Process, error) {
	c := s.stores.jaeger
	args := c.firstArgs()
	if !c.first {
		config := filepath.Join(s.run(), "jaeger.yaml")
		if err := c.writeSecondConfig(config); err != nil {
			return supervise.Process{}, fmt.Errorf("configure jaeger: %w", err)
		}
		args = []string{"--config", config}
	}
	page := ports.Addr(c.port)
	return supervise.Process{
		Name: "jaeger",
		Path: c.program,
		Args: args,
		// Jaeger traces itself; those traces would stand among ours.
		Env: []string{"OTEL_TRACES_SAMPLER=always_off", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.endpoint},
		Ready: func(ctx context.Context) error {
			return errors.Join(supervise.HTTP("http://"+page+"/api/services")(ctx), supervise.TCP(ports.Addr(c.otlp))(ctx))
		},
	}, nil
}

// firstArgs are for Jaeger 1, of which most servers cannot be switched off.
func (c tracing) firstArgs() []string {
	return []string{
		"--memory.max-traces=" + tracesKept,
		"--log-level=warn",
		"--query.http-server.host-port=" + ports.Addr(c.port),
		"--collector.otlp.grpc.host-port=" + ports.Addr(c.otlp),
		"--collector.otlp.http.host-port=" + ports.Addr(c.others[0]),
		"--query.grpc-server.host-port=" + ports.Addr(c.others[1]),
		"--collector.grpc-server.host-port=" + ports.Addr(c.others[2]),
		"--collector.http-server.host-port=" + ports.Addr(c.others[3]),
		"--admin.http.host-port=" + ports.Addr(c.others[4]),
	}
}

// writeSecondConfig writes the configuration of Jaeger 2, with no servers but
// those that are used and one that the query extension insists on.
func (c tracing) writeSecondConfig(path string) error {
	text, err := template.New("jaeger").Parse(secondConfig)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in the data directory
	if err != nil {
		return err
	}
	err = text.Execute(f, map[string]string{
		"Traces": tracesKept,
		"Page":   ports.Addr(c.port),
		"OTLP":   ports.Addr(c.otlp),
		"Query":  ports.Addr(c.others[0]),
	})
	return errors.Join(err, f.Close())
}

const secondConfig = `service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage:
    backends:
      memory:
        memory: {max_traces: {{.Traces}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "{{.Page}}"}
    grpc: {endpoint: "{{.Query}}"}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "{{.OTLP}}"}
processors:
  batch:
exporters:
  jaeger_storage_exporter:
    trace_storage: memory
`
