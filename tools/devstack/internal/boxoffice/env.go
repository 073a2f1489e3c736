package boxoffice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/secrets"
)

// addresses returns the variables that tell programs where servers and files are, without
// passwords of the embedded servers. NATS_URL is not among them; see natsURL.
func (s *stack) addresses() map[string]string {
	env := map[string]string{
		"REDIS_ADDR":         s.stores.redis.uri,
		"MONGO_URI":          s.stores.mongo.uri,
		"SECRETS_FILE":       s.layout.secrets(),
		"NAME_RESOLUTION_DB": s.names(),
		"SWEEP_SCHEDULE":     "@every " + cmp.Or(s.Getenv(sweepIntervalVar), "30s"),
	}
	if e := s.stores.jaeger.endpoint; e != "" {
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = e
	}
	if s.stores.jaeger.wanted {
		env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
		env["OTEL_EXPORTER_OTLP_INSECURE"] = "true"
	}
	return env
}

// assigned returns the variables that devstack assigns for an app and its sidecars. A program
// gets those that it reads; see environ.
func (s *stack) assigned(appID string) map[string]string {
	env := s.addresses()
	env["NATS_URL"] = s.natsURL(appID)
	env["REDIS_PASSWORD"] = s.redisPassword()
	env["DAPR_API_TOKEN"] = s.secrets.tokens[appID].api
	env["APP_API_TOKEN"] = s.secrets.tokens[appID].app
	env["SESSION_CACHE_KEY"] = s.secrets.sessionCacheKey
	env["ADMIN_EMAIL"] = s.secrets.adminEmail
	env["ADMIN_PASSWORD"] = s.secrets.adminPassword
	env["DAPR_HOST_IP"] = "127.0.0.1" // otherwise a sidecar registers the address of the outgoing interface
	return env
}

// redisPassword returns the password of Redis, or "" if an external Redis needs none.
func (s *stack) redisPassword() string {
	if s.stores.redis.external {
		return s.Getenv("REDIS_PASSWORD")
	}
	return s.secrets.redisPassword
}

// exporterVariables are read by the trace exporters of apps and sidecars.
func exporterVariables() []string {
	return []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_INSECURE"}
}

// appEnv returns the environment of an app.
func (s *stack) appEnv(i instance) []string {
	names := slices.Concat(s.reads[everyProgram], s.reads[i.ID], exporterVariables())
	return append(s.environ(names, s.assigned(i.ID)), i.Environ()...)
}

// sidecarEnv returns the environment of a sidecar.
func (s *stack) sidecarEnv(i instance) []string {
	assigned := s.assigned(i.ID)
	assigned["GOGC"] = sidecarGOGC
	return s.environ(append(exporterVariables(), i.sidecarReads...), assigned)
}

// provisionerEnv returns the environment of the program that creates the streams.
func (s *stack) provisionerEnv() []string {
	return s.environ(s.reads[provisioner], map[string]string{"NATS_URL": s.natsURL(provisionerUser)})
}

// sidecarGOGC nearly doubles the throughput of a sidecar on two cores.
const sidecarGOGC = "800"

// writeDaprEnv writes the file that the terminal of "dapr run -f" sources. The
// CLI passes its own environment to all apps and sidecars, so the file contains the
// variables of all of them, and the apps share their tokens.
func (s *stack) writeDaprEnv() error {
	env := s.assigned(sharedApp)
	env["GOGC"] = sidecarGOGC
	env["DAPRD_BROKER_LOOK_EVERY"] = "0s" // the CLI does not restart a sidecar that ends
	env["DAPR_RUNTIME_PATH"] = s.runtimePath()
	if err := writeShellEnv(s.daprEnv(), env); err != nil {
		return fmt.Errorf("write the environment for dapr run: %w", err)
	}
	return nil
}

// writeNATSEnv writes the file that an operator sources to use tools/streams.
func (s *stack) writeNATSEnv() error {
	if err := writeShellEnv(s.natsEnv(), map[string]string{"NATS_URL": s.natsURL(provisionerUser)}); err != nil {
		return fmt.Errorf("write the environment for %s: %w", provisioner, err)
	}
	return nil
}

// writeShellEnv writes a file of shell commands that export variables. Only its owner can
// read it.
func writeShellEnv(path string, env map[string]string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuoted(env[name]))
	}
	return secrets.WriteFile(path, []byte(b.String()))
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// shellWord returns s quoted for a shell, or s itself if it needs no quotes.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return shellQuoted(s)
}

// description is the content of stack.json, which tells tests and tools what
// runs where. The file exists while the stack is ready.
type description struct {
	Gateway   []string              `json:"gateway"` // base URL of each instance
	Jaeger    string                `json:"jaeger,omitempty"`
	Sentry    string                `json:"sentry,omitempty"` // address; empty without mTLS
	Env       map[string]string     `json:"env"`              // addresses of servers and files, without the secrets in credentials.json
	Instances []instanceDescription `json:"instances"`
}

type instanceDescription struct {
	Name     string `json:"name"` // its name in the pids file; that of its sidecar ends in "-daprd"
	App      string `json:"app"`
	Port     int    `json:"port"`
	HTTPPort int    `json:"daprHTTPPort"`
	GRPCPort int    `json:"daprGRPCPort"`
	// InternalGRPCPort is the port on which the sidecar is called by others.
	InternalGRPCPort int `json:"daprInternalGRPCPort"`
	MetricsPort      int `json:"metricsPort"` // of the sidecar
	// AppMetricsPort is the port of the app's own metrics, or 0 if it serves none.
	AppMetricsPort int `json:"appMetricsPort,omitempty"`
}

func (s *stack) writeDescription() error {
	d := description{Env: s.addresses()}
	d.Env["NATS_URL"] = s.stores.nats.uri
	if s.stores.jaeger.wanted {
		d.Jaeger = "http://" + ports.Addr(s.stores.jaeger.port)
	}
	if s.mtls.wanted {
		d.Sentry = ports.Addr(s.mtls.port)
	}
	for _, i := range s.apps {
		if i.ID == gatewayApp {
			d.Gateway = append(d.Gateway, "http://"+ports.Addr(i.Port))
		}
		d.Instances = append(d.Instances, instanceDescription{
			Name: i.name, App: i.ID, Port: i.Port,
			HTTPPort: i.HTTPPort, GRPCPort: i.GRPCPort, InternalGRPCPort: i.InternalGRPCPort, MetricsPort: i.MetricsPort,
			AppMetricsPort: i.AppMetricsPort,
		})
	}
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	// Only the owner can read the file: a URI from the environment may contain a
	// password.
	return secrets.WriteFile(s.description(), append(data, '\n'))
}
