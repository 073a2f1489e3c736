//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cached returns a program that the tree around this module has built already.
// Building it here would take minutes.
func cached(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "..", "bin", name+"-*", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skipf("no %s has been built yet", name)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRealSidecars has Dapr's own sidecar use each of the stores: a call from
// app to app, a lock in Redis, a compare-and-set in MongoDB and a fact in NATS.
func TestRealSidecars(t *testing.T) {
	daprd := os.Getenv("DAPRD")
	if daprd == "" {
		daprd = cached(t, "daprd")
	}
	stores := func(t *testing.T, env ...string) {
		tr := newTree(t)
		tr.env = append(append(tr.env, "DAPRD="+daprd), env...)
		r := tr.up(t, "--replicas", "booking=2")
		s := tr.stack(t)
		if status, body := get(t, s.Gateway[0]+"/hello"); status != http.StatusOK || body != "hello from booking" {
			t.Errorf("through two sidecars: %d %q", status, body)
		}
		c := sidecar{
			url:   fmt.Sprintf("http://127.0.0.1:%d", s.Instances[0].DaprHTTPPort),
			token: tr.secrets(t)["dapr-api-token"],
		}
		checkLock(t, c)
		checkState(t, c)
		if status, body := c.post(t, "/v1.0/publish/pubsub/facts", `{"a": 1}`); status != http.StatusNoContent {
			t.Errorf("publish: %d %s", status, body)
		}
		c.token = "wrong"
		if status, _ := c.post(t, "/v1.0/publish/pubsub/facts", `{}`); status != http.StatusUnauthorized {
			t.Errorf("publish with a wrong token: %d, want 401", status)
		}
		r.stop(t)
		tr.awaitNone(t, s.ports())
	}
	t.Run("stand-in for Redis", func(t *testing.T) {
		stores(t, "PATH="+goOnly(t))
	})
	t.Run("redis-server", func(t *testing.T) {
		if _, err := exec.LookPath("redis-server"); err != nil {
			t.Skip("no redis-server on the PATH")
		}
		stores(t)
	})
}

// goOnly is a PATH with the go command and nothing else.
func goOnly(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(program)
}

func checkLock(t *testing.T, c sidecar) {
	t.Helper()
	lock := func(owner string) bool {
		status, body := c.post(t, "/v1.0-alpha1/lock/lock", fmt.Sprintf(`{"resourceId":"seat","lockOwner":%q,"expiryInSeconds":1}`, owner))
		if status != http.StatusOK {
			t.Fatalf("lock: %d %s", status, body)
		}
		return strings.Contains(body, "true")
	}
	if !lock("a") || lock("b") {
		t.Error("two owners have one lock, or the first has none")
	}
	eventually(t, "the lock expires", func() bool { return lock("b") })
}

func checkState(t *testing.T, c sidecar) {
	t.Helper()
	save := func(etag string, value int) int {
		item := map[string]any{"key": "k", "value": value, "options": map[string]string{"concurrency": "first-write"}}
		if etag != "" {
			item["etag"] = etag
		}
		body, err := json.Marshal([]any{item})
		if err != nil {
			t.Fatal(err)
		}
		status, _ := c.post(t, "/v1.0/state/state", string(body))
		return status
	}
	if got := save("", 1); got != http.StatusNoContent {
		t.Fatalf("save: %d", got)
	}
	res := c.do(t, http.MethodGet, "/v1.0/state/state/k", "")
	defer res.Body.Close()
	etag := res.Header.Get("ETag")
	if got := save(etag, 2); got != http.StatusNoContent {
		t.Errorf("save with the ETag at hand: %d", got)
	}
	if got := save(etag, 3); got < 400 {
		t.Errorf("save with an ETag of before: %d", got)
	}
}

// sidecar is the API of one.
type sidecar struct{ url, token string }

func (c sidecar) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	res := c.do(t, http.MethodPost, path, body)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

func (c sidecar) do(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("dapr-api-token", c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestJaeger takes a Jaeger that is installed, or the one that was built before
// as if it were.
func TestJaeger(t *testing.T) {
	tests := map[string]struct {
		program func(t *testing.T) string
		name    string // by which the generations differ
		servers int
	}{
		"the first": {func(t *testing.T) string { return cached(t, "jaeger") }, "jaeger-all-in-one", 7},
		"the second": {func(t *testing.T) string {
			program, err := exec.LookPath("jaeger")
			if err != nil {
				t.Skip("no jaeger on the PATH")
			}
			return program
		}, "jaeger", 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			program := tt.program(t)
			tr := newTree(t)
			dir := filepath.Join(tr.root, "path")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(program, filepath.Join(dir, tt.name)); err != nil {
				t.Fatal(err)
			}
			tr.env = append(tr.env, "JAEGER=", "PATH="+dir+":"+goOnly(t))
			r := tr.start(t, "infra", "--free-ports")
			r.awaitReady(t)
			s := tr.stack(t)
			if status, _ := get(t, s.Jaeger+"/api/services"); status != http.StatusOK {
				t.Errorf("Jaeger's API says %d", status)
			}
			if s.Env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" {
				t.Error("the apps are not told where traces go")
			}
			listens := listeners(t, tr.pids(t)["jaeger"])
			if len(listens) != tt.servers {
				t.Errorf("Jaeger listens at %v, want %d addresses", listens, tt.servers)
			}
			for _, addr := range listens {
				if !strings.HasPrefix(addr, "127.0.0.1:") {
					t.Errorf("Jaeger listens at %s", addr)
				}
			}
			r.stop(t)
			tr.awaitNone(t, nil)
		})
	}
}
