package boxoffice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/secrets"
)

// publicEnv is what apps and sidecars are told that is no secret, in the order
// in which it is shown.
func (s *stack) publicEnv() []string {
	env := []string{
		"DATA_DIR=" + s.dir,
		"NATS_URL=" + s.stores.nats.uri,
		"REDIS_ADDR=" + s.stores.redis.uri,
		"MONGO_URI=" + s.stores.mongo.uri,
		"SECRETS_FILE=" + s.layout.secrets(),
		"NAME_RESOLUTION_DB=" + s.names(),
		"SWEEP_SCHEDULE=@every " + cmp.Or(s.Getenv(sweepVar), "30s"),
	}
	if e := s.stores.jaeger.endpoint; e != "" {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+e)
	}
	if s.stores.jaeger.wanted {
		env = append(env, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true")
	}
	return env
}

// commonEnv is what every app and sidecar gets.
func (s *stack) commonEnv() []string {
	return append(s.publicEnv(), s.tokenEnv()...)
}

// tokenEnv are the names that Dapr reads its two tokens from.
func (s *stack) tokenEnv() []string {
	return []string{"DAPR_API_TOKEN=" + s.secrets.apiToken, "APP_API_TOKEN=" + s.secrets.appToken}
}

// writeDaprEnv writes what the terminal of "dapr run -f" sources. The CLI passes
// its own environment to apps and sidecars alike, so all is in it.
func (s *stack) writeDaprEnv() error {
	env := append(s.commonEnv(), sidecarEnv()...)
	env = append(env,
		"DAPRD_BROKER_LOOK_EVERY=0s", // the CLI starts no sidecar again that ends
		"DAPR_RUNTIME_PATH="+s.runtimePath(),
		"ADMIN_EMAIL="+s.secrets.adminEmail,
		"ADMIN_PASSWORD="+s.secrets.adminPassword,
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

// shellQuotedIfNeeded leaves plain paths as they are.
func shellQuotedIfNeeded(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-") == "" {
		return s
	}
	return shellQuoted(s)
}

// description is stack.json, from which tests and tools learn what runs where.
// It is there while the stack is ready.
type description struct {
	Gateway   []string              `json:"gateway"` // base URLs, one for each instance
	Jaeger    string                `json:"jaeger,omitempty"`
	Env       map[string]string     `json:"env"` // what the apps are told, without secrets
	Instances []instanceDescription `json:"instances"`
}

type instanceDescription struct {
	Name        string `json:"name"` // its name in the pids file; the sidecar's has "-daprd" after it
	App         string `json:"app"`
	Port        int    `json:"port"`
	HTTPPort    int    `json:"daprHTTPPort"`
	GRPCPort    int    `json:"daprGRPCPort"`
	MetricsPort int    `json:"metricsPort"`
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
	for _, i := range s.apps {
		if i.ID == front {
			d.Gateway = append(d.Gateway, "http://"+ports.Addr(i.Port))
		}
		d.Instances = append(d.Instances, instanceDescription{
			Name: i.name, App: i.ID, Port: i.Port,
			HTTPPort: i.HTTPPort, GRPCPort: i.GRPCPort, MetricsPort: i.MetricsPort,
		})
	}
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	// Not for everyone: a URI of the user's own may hold a password.
	return secrets.WriteFile(s.describe(), append(data, '\n'))
}
