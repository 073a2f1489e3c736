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

// tracing says where traces go: to a Jaeger that devstack runs, to an endpoint that
// the environment names, or nowhere.
type tracing struct {
	external bool   // the environment names an endpoint
	wanted   bool   // devstack runs Jaeger
	program  string // path of Jaeger; empty until it is built
	v1       bool   // the program is a Jaeger 1, which is configured by flags
	port     int    // of the query API and the web UI
	otlp     int    // of the OTLP receiver
	others   []int  // of servers that Jaeger requires and nothing uses
	endpoint string // where apps and sidecars send traces; empty for none
}

// chooseTracing chooses where traces go, from the environment and the programs on
// the PATH.
func (s *stack) chooseTracing() (tracing, error) {
	if e := s.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); e != "" {
		return tracing{external: true, endpoint: e}, nil
	}
	if s.Getenv("JAEGER") == "off" {
		return tracing{}, nil
	}
	c := tracing{wanted: true}
	if program, err := exec.LookPath("jaeger"); err == nil {
		c.program = program
	} else if program, err := exec.LookPath("jaeger-all-in-one"); err == nil {
		c.program, c.v1 = program, true
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

// mustBuild reports whether devstack is to run a Jaeger that is not built yet.
func (c tracing) mustBuild() bool { return c.wanted && c.program == "" }

func (s *stack) jaegerTarget() buildcache.Target {
	return s.tool("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
}

func (s *stack) useJaeger(b *buildcache.Built) { s.stores.jaeger.program = b.Binary("jaeger") }

// jaegerProcess returns Jaeger with all its servers on the loopback interface.
func (s *stack) jaegerProcess() (supervise.Process, error) {
	c := s.stores.jaeger
	var args []string
	if c.v1 {
		args = c.v1Args()
	} else {
		config := filepath.Join(s.run(), "jaeger.yaml")
		if err := c.writeConfig(config); err != nil {
			return supervise.Process{}, fmt.Errorf("configure jaeger: %w", err)
		}
		args = []string{"--config", config}
	}
	query := ports.Addr(c.port)
	return supervise.Process{
		Name: "jaeger",
		Path: c.program,
		Args: args,
		// Otherwise Jaeger would add traces of its own requests to those of Boxoffice.
		Env: []string{"OTEL_TRACES_SAMPLER=always_off", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.endpoint},
		Ready: func(ctx context.Context) error {
			return errors.Join(supervise.HTTP("http://"+query+"/api/services")(ctx), supervise.TCP(ports.Addr(c.otlp))(ctx))
		},
	}, nil
}

// v1Args returns the flags of Jaeger 1. Most of its servers cannot be disabled.
func (c tracing) v1Args() []string {
	return []string{
		"--memory.max-traces=" + maxTraces,
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

// writeConfig writes the configuration of Jaeger 2. It has only the servers that
// are used, and the gRPC server that the query extension requires.
func (c tracing) writeConfig(path string) error {
	text, err := template.New("jaeger").Parse(configTemplate)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in the data directory
	if err != nil {
		return err
	}
	err = text.Execute(f, map[string]string{
		"MaxTraces": maxTraces,
		"Query":     ports.Addr(c.port),
		"QueryGRPC": ports.Addr(c.others[0]),
		"OTLP":      ports.Addr(c.otlp),
	})
	return errors.Join(err, f.Close())
}

const configTemplate = `service:
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
        memory: {max_traces: {{.MaxTraces}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "{{.Query}}"}
    grpc: {endpoint: "{{.QueryGRPC}}"}
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
