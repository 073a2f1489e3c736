// Package e2e_test starts the sidecar as a user would and tests it through its API.
// It imports nothing of Dapr, so that go test -race need not compile Dapr a second
// time. For the same reason it is not in the directory of main.go.
//
// DAPRD names the daprd binary to test. If it is empty, the test builds one.
package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSidecar builds the sidecar once for all tests of its behaviour.
func TestSidecar(t *testing.T) {
	bin := builtDaprd(t)

	t.Run("reports Dapr's version", func(t *testing.T) { testVersion(t, bin) })
	t.Run("loads exactly the listed components", func(t *testing.T) { testComponents(t, bin) })
	t.Run("a flag overrides the loopback address", func(t *testing.T) { testFlagOverride(t, bin) })
	t.Run("announces a loopback address", func(t *testing.T) { testHostIP(t, bin) })
	t.Run("lifecycle", func(t *testing.T) { testLifecycle(t, bin) })
	t.Run("broker outages", func(t *testing.T) { testBroker(t, bin) })
}

// testVersion checks that --version prints the version of the Dapr module. The file
// ldflags sets the version that it prints.
func testVersion(t *testing.T, bin string) {
	out, err := exec.CommandContext(t.Context(), bin, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(module(t, "github.com/dapr/dapr", "{{.Version}}"), "v")
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("--version printed %q, want %q", got, want)
	}
}

// testLifecycle runs one sidecar with one component from its start to SIGTERM. The
// steps build on each other, so the first failure ends the test.
func testLifecycle(t *testing.T, bin string) {
	s := start(t, bin, []component{{kind: "state.in-memory"}}, nil)

	step := func(name string, fn func(*testing.T, *sidecar)) {
		if !t.Run(name, func(t *testing.T) { fn(t, s) }) {
			t.FailNow()
		}
	}
	step("refuses requests without the token", testToken)
	step("reports its metadata", testMetadata)
	step("stores state with ETags", testState)
	step("listens on loopback only", testLoopback)
	step("SIGHUP replaces the runtime", testReload)
	step("SIGTERM ends the process", testTerminate)
}

// testToken sends requests with a missing, an empty and a wrong API token.
func testToken(t *testing.T, s *sidecar) {
	for name, header := range map[string]http.Header{
		"no token":    {"Dapr-Api-Token": nil},
		"empty token": {"Dapr-Api-Token": {""}},
		"wrong token": {"Dapr-Api-Token": {"wrong"}},
	} {
		for _, path := range []string{"/v1.0/metadata", "/v1.0/state/state.in-memory/key"} {
			r := s.do(t, http.MethodGet, path, "", header)
			if got, want := r.status, http.StatusUnauthorized; got != want {
				t.Errorf("GET %s with %s = %d, want %d", path, name, got, want)
			}
		}
	}
}

// testMetadata checks the app id and the loaded components.
func testMetadata(t *testing.T, s *sidecar) {
	r := s.do(t, http.MethodGet, "/v1.0/metadata", "", nil)
	if r.status != http.StatusOK {
		t.Fatalf("metadata = %d %s, want 200", r.status, r.body)
	}
	var meta struct {
		ID         string
		Components []struct{ Name, Type string }
	}
	if err := json.Unmarshal([]byte(r.body), &meta); err != nil {
		t.Fatal(err)
	}
	if got, want := meta.ID, appID; got != want {
		t.Errorf("id = %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(meta.Components), "[{state.in-memory state.in-memory}]"; got != want {
		t.Errorf("components = %s, want %s", got, want)
	}
}

// testState writes, reads and deletes a value with first-write concurrency.
func testState(t *testing.T, s *sidecar) {
	const store = "/v1.0/state/state.in-memory"
	write := func(value, etag string) response {
		if etag != "" {
			etag = fmt.Sprintf(`"etag":%q,`, etag)
		}
		item := fmt.Sprintf(`[{"key":"seat","value":%q,%s"options":{"concurrency":"first-write"}}]`, value, etag)
		return s.do(t, http.MethodPost, store, item, nil)
	}
	read := func() response { return s.do(t, http.MethodGet, store+"/seat", "", nil) }
	remove := func(etag string) response {
		return s.do(t, http.MethodDelete, store+"/seat", "", http.Header{"If-Match": {etag}})
	}
	expect := func(what string, r response, status int, body string) {
		t.Helper()
		if r.status != status || (body != "" && r.body != body) {
			t.Fatalf("%s = %d %s, want %d %s", what, r.status, r.body, status, body)
		}
	}

	expect("read before any write", read(), http.StatusNoContent, "")
	expect("first write", write("free", ""), http.StatusNoContent, "")
	first := read()
	expect("read", first, http.StatusOK, `"free"`)

	expect("write with the current ETag", write("held", first.etag), http.StatusNoContent, "")
	expect("write with a stale ETag", write("stolen", first.etag), http.StatusConflict, "")
	expect("write of an existing key without an ETag", write("stolen", ""), http.StatusConflict, "")
	second := read()
	expect("read after refused writes", second, http.StatusOK, `"held"`)

	expect("delete with a stale ETag", remove(first.etag), http.StatusConflict, "")
	expect("delete", remove(second.etag), http.StatusNoContent, "")
	expect("read after delete", read(), http.StatusNoContent, "")
}

// testLoopback checks that all sockets are bound to 127.0.0.1.
func testLoopback(t *testing.T, s *sidecar) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	want := make([]string, 0, len(s.ports))
	for _, port := range s.ports {
		want = append(want, fmt.Sprintf("127.0.0.1:%d", port))
	}
	slices.Sort(want)
	if got := listening(t, s.cmd.Process.Pid); !slices.Equal(got, want) {
		t.Errorf("listens on %v, want %v", got, want)
	}
}

// testReload sends SIGHUP, which starts a new runtime in the same process. The new
// runtime has the same configuration and an empty in-memory store.
func testReload(t *testing.T, s *sidecar) {
	const key = "/v1.0/state/state.in-memory/survivor"
	s.do(t, http.MethodPost, "/v1.0/state/state.in-memory", `[{"key":"survivor","value":1}]`, nil)
	if r := s.do(t, http.MethodGet, key, "", nil); r.status != http.StatusOK {
		t.Fatalf("read = %d, want 200", r.status)
	}

	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new runtime answers", func() bool {
		r, err := s.try(t, http.MethodGet, key, "", nil)
		return err == nil && r.status == http.StatusNoContent
	})
}

// testTerminate sends SIGTERM and expects a graceful shutdown with status 0.
func testTerminate(t *testing.T, s *sidecar) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process exits", s.ended)
	if got := s.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("exit code = %d, want 0", got)
	}
	if log := s.log(t); !strings.Contains(log, "Daprd shutdown gracefully") {
		t.Error("log: want a message about the graceful shutdown")
	}
}

// testFlagOverride checks that a listen address on the command line replaces the
// default.
func testFlagOverride(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2 and /proc")
	}
	s := start(t, bin, nil, nil, "-metrics-listen-address", "127.0.0.2")
	want := fmt.Sprintf("127.0.0.2:%d", s.ports["metrics-port"])
	if got := listening(t, s.cmd.Process.Pid); !slices.Contains(got, want) {
		t.Errorf("listens on %v, want %s among them", got, want)
	}
}

// testHostIP checks that the sidecar registers a loopback address for its peers.
// If the internal server listens on 127.0.0.1, Dapr registers that address anyway,
// so here it listens on 127.0.0.2.
func testHostIP(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2")
	}
	s := start(t, bin, nil, nil, "--dapr-internal-grpc-listen-address", "127.0.0.2")
	want := fmt.Sprintf("127.0.0.1:%d", s.ports["dapr-internal-grpc-port"])
	if !strings.Contains(s.names(t), want) {
		t.Errorf("registered names: want %s among them", want)
	}
}

// testComponents configures a component of each type, and one of an unknown type
// in each building block. Most components cannot connect to their servers here.
// That does not matter, because an unknown type fails earlier, at creation.
func testComponents(t *testing.T, bin string) {
	const unreachable = "127.0.0.1:1"
	redis := map[string]string{"redisHost": unreachable, "redisMaxRetries": "0"}
	known := []component{
		{kind: "bindings.cron"},
		{kind: "lock.redis", metadata: redis},
		{kind: "pubsub.in-memory"},
		{kind: "pubsub.jetstream"},
		{kind: "pubsub.kafka"},
		{kind: "pubsub.rabbitmq", metadata: map[string]string{"connectionString": "amqp://" + unreachable}},
		{kind: "pubsub.redis", metadata: redis},
		{kind: "secretstores.local.env"},
		{kind: "secretstores.local.file"},
		{kind: "state.in-memory"},
		{kind: "state.mongodb"},
		{kind: "state.redis", metadata: redis},
		{kind: "state.sqlite"},
	}
	unknown := []string{"bindings.unknown", "lock.unknown", "pubsub.unknown", "secretstores.unknown", "state.unknown"}

	components := known
	for _, kind := range unknown {
		components = append(components, component{kind: kind})
	}
	log := start(t, bin, components, nil).log(t)

	for _, c := range known {
		if !strings.Contains(log, c.kind+" ("+c.kind+"/v1)") {
			t.Errorf("log: want a message about the component %s", c.kind)
		}
	}
	var got []string
	for _, match := range regexp.MustCompile(`Failed to init component (\S+) .*couldn't find`).FindAllStringSubmatch(log, -1) {
		got = append(got, match[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, unknown) {
		t.Errorf("unknown component types: got %v, want %v", got, unknown)
	}
}

// builtDaprd returns the path of the binary under test: the value of DAPRD if it
// is set, otherwise a binary that it builds.
func builtDaprd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	return build(t, "daprd", "..")
}

// build builds a program of this module, and returns its path.
func build(t *testing.T, name, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	ldflags := strings.TrimSpace(readFile(t, "../ldflags"))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", ldflags, "-o", path, pkg)
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "CGO_ENABLED=0") // as in README.md, to share its build cache
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}
