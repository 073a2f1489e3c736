//go:build linux

package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
)

// TestProcessesHaveOnlyTheirVariables starts devstack in an environment with secrets that
// concern no process of the tree, and reads the environment of each.
func TestProcessesHaveOnlyTheirVariables(t *testing.T) {
	tr := newTree(t)
	tr.env = append(tr.env, "ADMIN_EMAIL=me@example.org", "ADMIN_PASSWORD=correct horse", "AWS_SECRET_ACCESS_KEY=aws",
		"GOOGLE_APPLICATION_CREDENTIALS=/google", "GITHUB_TOKEN=github", "DATABASE_URL=x", "RATE_LIMIT_WRITE=7/1m", "MAX_PER_BOOKING=3", "TZ=UTC")
	r := tr.up(t, "--replicas", "booking=2")
	pids, secrets := tr.pids(t), tr.secrets(t)

	// The variables beside those of base that each process may have.
	const tokens = "DAPR_API_TOKEN APP_API_TOKEN "
	const app = tokens + "APP_ID APP_PROTOCOL APP_PORT DAPR_HTTP_PORT METRICS_PORT DAPR_GRPC_PORT DAPR_METRICS_PORT "
	const sidecar = tokens + "REDIS_ADDR REDIS_PASSWORD MONGO_URI NATS_URL NAME_RESOLUTION_DB DAPR_HOST_IP GOGC"
	allowed := map[string]string{
		"nats": "NATS_PASSWORD_BOOKING NATS_PASSWORD_SHARED NATS_PASSWORD_STREAMS", "redis": "REDIS_PASSWORD", "mongo": "",
		"gateway": app + "REDIS_ADDR REDIS_PASSWORD SESSION_CACHE_KEY RATE_LIMIT_WRITE", "booking": app + "MONGO_URI MAX_PER_BOOKING", "booking-2": app + "MONGO_URI MAX_PER_BOOKING",
		"gateway-daprd": sidecar, "booking-daprd": sidecar, "booking-2-daprd": sidecar,
	}
	const base = "PATH HOME TMPDIR TZ LANG SSL_CERT_FILE SSL_CERT_DIR GOGC GOMEMLIMIT GOMAXPROCS GODEBUG GOTRACEBACK GORACE GOCOVERDIR"
	for name, pid := range pids {
		own, ok := allowed[name]
		if !ok {
			t.Errorf("no variables are listed for %s", name)
		}
		env := environ(t, pid)
		for variable, value := range env {
			isBase := strings.HasPrefix(variable, "LC_") || strings.HasPrefix(variable, "OTEL_") || value == filepath.Join(tr.data) ||
				slices.Contains(strings.Fields(base), variable)
			if variable != "" && !isBase && !slices.Contains(strings.Fields(own), variable) {
				t.Errorf("%s has %s in its environment", name, variable)
			}
		}
		if env["TZ"] != "UTC" && name != "redis" { // redis-server overwrites its environment with its title
			t.Errorf("%s does not inherit TZ", name)
		}
		for _, id := range []string{"booking", "gateway"} {
			isOwn := strings.HasPrefix(name, id)
			for variable, secret := range map[string]string{
				"DAPR_API_TOKEN": "dapr-api-token-" + id, "APP_API_TOKEN": "app-api-token-" + id,
			} {
				if got := slices.Contains(slices.Collect(maps.Values(env)), secrets[secret]); got != isOwn || isOwn && env[variable] != secrets[secret] {
					t.Errorf("%s has %s: %v, want %v, as %s", name, secret, got, isOwn, variable)
				}
			}
		}
		if strings.Contains(read(t, procFile(pid, "environ")), secrets["nats-password-streams"]) {
			t.Errorf("%s has the password of another user of NATS", name)
		}
		if got, want := strings.Contains(env["NATS_URL"], secrets["nats-password-booking"]), strings.HasPrefix(name, "booking") && strings.HasSuffix(name, "-daprd"); got != want {
			t.Errorf("%s has the NATS password of booking: %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]string{"gateway": "RATE_LIMIT_WRITE=7/1m", "booking-2": "MAX_PER_BOOKING=3"} {
		variable, value, _ := strings.Cut(want, "=")
		if got := environ(t, pids[name])[variable]; got != value {
			t.Errorf("%s: %s is %q, want %q", name, variable, got, value)
		}
	}
	r.stop(t)
}

// TestEmbeddedServersNeedPasswords connects to NATS and Redis without a password and with
// that of another user, and checks what a user of NATS may do. The second start uses the
// data of the first one.
func TestEmbeddedServersNeedPasswords(t *testing.T) {
	tr := newTree(t)
	for range 2 {
		r := tr.up(t)
		s, secrets := tr.stack(t), tr.secrets(t)
		for _, options := range [][]nats.Option{
			nil, {nats.UserInfo("streams", secrets["nats-password-booking"])}, {nats.UserInfo("shared", secrets["nats-password-booking"])},
		} {
			if conn, err := nats.Connect(s.Env["NATS_URL"], options...); err == nil {
				conn.Close()
				t.Errorf("NATS accepts a client with %d options", len(options))
			}
		}
		if err := findStream(t, tr.natsURL(t)); err != nil {
			t.Errorf("tools/streams cannot find the stream: %v", err)
		}
		if err := findStream(t, strings.Replace(s.Env["NATS_URL"], "://", "://booking:"+secrets["nats-password-booking"]+"@", 1)); err == nil {
			t.Error("booking may ask about the stream, want an error")
		}
		for password, isRight := range map[string]bool{"": false, secrets["dapr-api-token-booking"]: false, secrets["redis-password"]: true} {
			client := redis.NewClient(&redis.Options{Addr: s.Env["REDIS_ADDR"], Password: password})
			if err := client.Ping(t.Context()).Err(); (err == nil) != isRight {
				t.Errorf("PING with the password of redis: %v: got %v", isRight, err)
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		}
		if got := sourced(t, filepath.Join(tr.data, "nats.env"))["NATS_URL"]; got != tr.natsURL(t) {
			t.Error("nats.env does not contain the URL for tools/streams")
		}
		r.stop(t)
		if _, err := os.Stat(filepath.Join(tr.data, "nats")); err != nil {
			t.Fatal(err)
		}
	}
}
