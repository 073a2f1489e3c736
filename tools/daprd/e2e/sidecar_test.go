// Package e2e_test starts the sidecar as its users do and talks to it from
// outside. It imports nothing of Dapr, so that `go test -race` need not compile
// Dapr a second time; that is also why it is not beside main.go.
//
// The binary is $DAPRD, else one that the test builds.
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

func TestSidecar(t *testing.T) {
	bin := builtDaprd(t)

	t.Run("Version", func(t *testing.T) { testVersion(t, bin) })
	t.Run("Components", func(t *testing.T) { testComponents(t, bin) })
	t.Run("FlagWins", func(t *testing.T) { testFlagWins(t, bin) })
	t.Run("HostIP", func(t *testing.T) { testHostIP(t, bin) })
	t.Run("Lifecycle", func(t *testing.T) { testLifecycle(t, bin) })
	t.Run("Broker", func(t *testing.T) { testBroker(t, bin) })
}

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

// testLifecycle follows one sidecar with one component from start to SIGTERM.
// The steps build on each other, so the first failure ends it.
func testLifecycle(t *testing.T, bin string) {
	s := start(t, bin, []component{{kind: "state.in-memory"}}, nil)

	step := func(name string, fn func(*testing.T, *sidecar)) {
		if !t.Run(name, func(t *testing.T) { fn(t, s) }) {
			t.FailNow()
		}
	}
	step("Token", testToken)
	step("Metadata", testMetadata)
	step("State", testState)
	step("Loopback", testLoopback)
	step("Reload", testReload)
	step("Terminate", testTerminate)
}

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
	expect("write with the ETag that lost", write("stolen", first.etag), http.StatusConflict, "")
	expect("write without an ETag over a value", write("stolen", ""), http.StatusConflict, "")
	second := read()
	expect("read after lost writes", second, http.StatusOK, `"held"`)

	expect("delete with the ETag that lost", remove(first.etag), http.StatusConflict, "")
	expect("delete", remove(second.etag), http.StatusNoContent, "")
	expect("read after delete", read(), http.StatusNoContent, "")
}

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

// testReload: SIGHUP makes a new runtime in the same process, so what was in
// memory is gone and everything else is back.
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

func testTerminate(t *testing.T, s *sidecar) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process ends", s.ended)
	if got := s.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("exit code = %d, want 0", got)
	}
	if log := s.log(t); !strings.Contains(log, "Daprd shutdown gracefully") {
		t.Error("ended without its last words")
	}
}

func testFlagWins(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2 and /proc")
	}
	s := start(t, bin, nil, nil, "-metrics-listen-address", "127.0.0.2")
	want := fmt.Sprintf("127.0.0.2:%d", s.ports["metrics-port"])
	if got := listening(t, s.cmd.Process.Pid); !slices.Contains(got, want) {
		t.Errorf("listens on %v, want %s among them", got, want)
	}
}

// testHostIP: what peers are told is loopback too. Dapr derives that from the
// internal server's address when it is 127.0.0.1, so it has another one here.
func testHostIP(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2")
	}
	s := start(t, bin, nil, nil, "--dapr-internal-grpc-listen-address", "127.0.0.2")
	want := fmt.Sprintf("127.0.0.1:%d", s.ports["dapr-internal-grpc-port"])
	if !strings.Contains(s.names(t), want) {
		t.Errorf("%s is not among the registered names", want)
	}
}

// testComponents asks for one component of each type, and in each building
// block for one that does not exist. Most cannot work without their server,
// which does not matter here: an unknown type fails before that, at creation.
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
			t.Errorf("%s left no trace in the log", c.kind)
		}
	}
	var got []string
	for _, match := range regexp.MustCompile(`Failed to init component (\S+) .*couldn't find`).FindAllStringSubmatch(log, -1) {
		got = append(got, match[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, unknown) {
		t.Errorf("Dapr does not know %v, want %v", got, unknown)
	}
}

// builtDaprd returns the path of the sidecar under test.
func builtDaprd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "daprd")
	ldflags := strings.TrimSpace(readFile(t, "../ldflags"))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", ldflags, "-o", path, "..")
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "CGO_ENABLED=0") // README.md's way, so that its cache serves
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}
