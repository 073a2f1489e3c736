package boxoffice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/secrets"
)

// publicEnv returns the environment of apps and sidecars without the secrets.
func (s *stack) publicEnv() []string {
	env := []string{
		"DATA_DIR=" + s.dir,
		"NATS_URL=" + s.stores.nats.uri,
		"REDIS_ADDR=" + s.stores.redis.uri,
		"MONGO_URI=" + s.stores.mongo.uri,
		"SECRETS_FILE=" + s.layout.secrets(),
		"NAME_RESOLUTION_DB=" + s.names(),
		"SWEEP_SCHEDULE=@every " + cmp.Or(s.Getenv(sweepIntervalVar), "30s"),
	}
	if e := s.stores.jaeger.endpoint; e != "" {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+e)
	}
	if s.stores.jaeger.wanted {
		env = append(env, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true")
	}
	return env
}

// commonEnv returns the environment of every app and sidecar.
func (s *stack) commonEnv() []string {
	return append(s.publicEnv(), s.tokenEnv()...)
}

// tokenEnv returns the two tokens under the names that Dapr reads.
func (s *stack) tokenEnv() []string {
	return []string{"DAPR_API_TOKEN=" + s.secrets.apiToken, "APP_API_TOKEN=" + s.secrets.appToken}
}

// sidecarEnv returns the variables that only sidecars need.
func sidecarEnv() []string {
	return []string{
		"DAPR_HOST_IP=127.0.0.1", // otherwise it registers the address of the outgoing interface
		"GOGC=800",               // nearly doubles the throughput on two cores
	}
}

// writeDaprEnv writes the file that the terminal of "dapr run -f" sources. The
// CLI passes its own environment to both apps and sidecars, so the file contains the
// variables of both.
func (s *stack) writeDaprEnv() error {
	env := append(s.commonEnv(), sidecarEnv()...)
	env = append(env,
		"DAPRD_BROKER_LOOK_EVERY=0s", // the CLI does not restart a sidecar that ends
		"DAPR_RUNTIME_PATH="+s.runtimePath(),
		"ADMIN_EMAIL="+s.secrets.adminEmail,
		"ADMIN_PASSWORD="+s.secrets.adminPassword,
		sessionCacheVar+"="+s.secrets.sessionCacheKey,
	)
	var b strings.Builder
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuoted(value))
	}
	if err := secrets.WriteFile(s.daprEnv(), []byte(b.String())); err != nil {
		return fmt.Errorf("write the environment for dapr run: %w", err)
	}
	return nil
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
	Env       map[string]string     `json:"env"`              // of the apps, without secrets
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
	d := description{Env: map[string]string{}}
	for _, entry := range s.publicEnv() {
		name, value, _ := strings.Cut(entry, "=")
		d.Env[name] = value
	}
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
