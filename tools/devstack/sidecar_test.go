//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/ports"
)

// cached returns a program that has been built in bin/ of the repository. It skips
// the test if there is none, since a build would take minutes.
func cached(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "..", "bin", name+"-*", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skipf("no %s has been built in bin/", name)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRealSidecarUsesEachStore runs Dapr's sidecar: a call from app to app, a lock
// in Redis, a compare-and-set in MongoDB and a fact in NATS.
func TestRealSidecarUsesEachStore(t *testing.T) {
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
			t.Errorf("call through two sidecars: got %d %q, want 200 and the answer of booking", status, body)
		}
		c := sidecar{
			url:   fmt.Sprintf("http://127.0.0.1:%d", s.Instances[0].DaprHTTPPort),
			token: tr.secrets(t)["dapr-api-token-booking"],
		}
		checkLock(t, c)
		checkState(t, c)
		if status, body := c.post(t, "/v1.0/publish/pubsub/facts", `{"a": 1}`); status != http.StatusNoContent {
			t.Errorf("publish: got %d %s, want 204", status, body)
		}
		c.token = "wrong"
		if status, _ := c.post(t, "/v1.0/publish/pubsub/facts", `{}`); status != http.StatusUnauthorized {
			t.Errorf("publish with a wrong token: got %d, want 401", status)
		}
		r.stop(t)
		tr.awaitNone(t, s.ports())
	}
	t.Run("miniredis", func(t *testing.T) {
		stores(t, "PATH="+goOnly(t))
	})
	t.Run("redis-server", func(t *testing.T) {
		if _, err := exec.LookPath("redis-server"); err != nil {
			t.Skip("no redis-server on the PATH")
		}
		stores(t)
	})
}

// TestSidecarStartsWhileAnotherReadsTheNames holds the lock of a reader of the name
// database while a sidecar starts. SQLite cannot switch a database to WAL mode while
// it has a reader. If devstack had not created it in WAL mode, the sidecar would log
// SQLITE_BUSY and run without name resolution.
func TestSidecarStartsWhileAnotherReadsTheNames(t *testing.T) {
	daprd := os.Getenv("DAPRD")
	if daprd == "" {
		daprd = cached(t, "daprd")
	}
	tr := newTree(t)
	infra := tr.start(t, "infra", "--free-ports")
	infra.awaitReady(t)
	env := sourced(t, filepath.Join(tr.data, "dapr.env"))

	names, err := os.OpenFile(env["NAME_RESOLUTION_DB"], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	// A reader holds a shared lock on these bytes; https://sqlite.org/fileformat2.html
	// calls them the lock-byte page.
	shared := syscall.Flock_t{Type: syscall.F_RDLCK, Start: 0x40000002, Len: 510}
	if err := syscall.FcntlFlock(names.Fd(), syscall.F_SETLK, &shared); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"--app-id", "reader", "--config", filepath.Join(tr.root, "dapr", "config.yaml"), "--enable-metrics=false"}
	pool := ports.NewPool(ports.SharedDir())
	defer pool.Close()
	for _, flag := range []string{"--dapr-http-port", "--dapr-grpc-port", "--dapr-internal-grpc-port"} {
		port, err := pool.Take()
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, flag, strconv.Itoa(port))
	}
	sidecar := exec.CommandContext(ctx, daprd, args...)
	sidecar.Env = os.Environ()
	for name, value := range env {
		sidecar.Env = append(sidecar.Env, name+"="+value)
	}
	var out output
	sidecar.Stdout, sidecar.Stderr = &out, &out
	if err := sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sidecar.Wait() }()
	eventually(t, "the sidecar has started or ended", func() bool {
		return strings.Contains(out.String(), "dapr initialized") || len(ended) > 0
	})
	if len(ended) > 0 {
		t.Fatalf("the sidecar ended: %v\n%s", <-ended, out.String())
	}
	if strings.Contains(out.String(), "INIT_COMPONENT_FAILURE") {
		t.Errorf("the sidecar runs without name resolution:\n%s", out.String())
	}
	if err := sidecar.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the sidecar's end: %v", err)
	}
	infra.stop(t)
}

// goOnly returns the directory of the go command, a PATH without Redis or Jaeger.
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
		t.Error("the first owner did not get the lock, or the second got it too")
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
		t.Fatalf("save without an ETag: got %d, want 204", got)
	}
	res := c.do(t, http.MethodGet, "/v1.0/state/state/k", "")
	defer res.Body.Close()
	etag := res.Header.Get("ETag")
	if got := save(etag, 2); got != http.StatusNoContent {
		t.Errorf("save with the current ETag: got %d, want 204", got)
	}
	if got := save(etag, 3); got < 400 {
		t.Errorf("save with a stale ETag: got %d, want at least 400", got)
	}
}

// sidecar is the HTTP API of a sidecar.
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
