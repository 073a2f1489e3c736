package dapr_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	apiToken  = "test-token"
	waitLimit = 2 * time.Minute // bounds every wait
)

// daprdPath returns the path of the daprd binary: the value of DAPRD if it is
// set, otherwise a binary built from the module tools/daprd. The first build
// takes minutes.
func daprdPath(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "daprd")
	// Only the linker flags differ from those in the README of tools/daprd, so that
	// both builds share the compiled packages in the build cache.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Dir = filepath.Join("..", "..", "daprd")
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}

// sidecar is a running daprd.
type sidecar struct {
	cmd  *exec.Cmd
	port int
	log  string
	done chan struct{} // closed when the process has exited
}

// startSidecar runs daprd with a state store on the MongoDB at addr and waits
// until the sidecar is ready. The caller must stop or kill it.
func startSidecar(t *testing.T, daprd, addr string) *sidecar {
	t.Helper()
	dir := t.TempDir()
	resources := filepath.Join(dir, "resources")
	must(t, os.Mkdir(resources, 0o700))
	must(t, os.WriteFile(filepath.Join(resources, "state.yaml"), fmt.Appendf(nil, `apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: state.mongodb
  version: v1
  metadata:
  - {name: host, value: %q}
  - {name: databaseName, value: dapr}
  - {name: collectionName, value: state}
  - {name: params, value: "?replicaSet=mongolite"}
  - {name: writeConcern, value: majority}
  - {name: readConcern, value: majority}
  - {name: keyPrefix, value: none}
`, addr), 0o600))
	config := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: test}
spec:
  nameResolution:
    component: sqlite
    configuration: {connectionString: %q}
`, filepath.Join(dir, "names.db")), 0o600))

	s := &sidecar{log: filepath.Join(dir, "log"), done: make(chan struct{})}
	ports := freePorts(t, 4)
	s.port = ports[0]
	log, err := os.Create(s.log)
	must(t, err)
	s.cmd = exec.Command(daprd,
		"--app-id", "test", "--resources-path", resources, "--config", config,
		"--placement-host-address", "", "--scheduler-host-address", "",
		"--dapr-http-port", strconv.Itoa(ports[0]), "--dapr-grpc-port", strconv.Itoa(ports[1]),
		"--dapr-internal-grpc-port", strconv.Itoa(ports[2]), "--metrics-port", strconv.Itoa(ports[3]),
		"--dapr-graceful-shutdown-seconds", "1", "--log-level", "warn")
	s.cmd.Dir = dir
	s.cmd.Env = []string{"DAPR_API_TOKEN=" + apiToken} // nothing is inherited
	s.cmd.Stdout, s.cmd.Stderr = log, log
	must(t, s.cmd.Start())
	go func() {
		defer close(s.done)
		defer log.Close()
		_ = s.cmd.Wait() // ProcessState holds the outcome
	}()
	eventually(t, "the sidecar is ready", func() bool {
		select {
		case <-s.done:
			t.Fatalf("daprd exited before it was ready: %s\n%s", s.cmd.ProcessState, s.output())
		default:
		}
		r, err := s.try(http.MethodGet, "/v1.0/healthz/outbound", "", nil)
		return err == nil && r.status == http.StatusNoContent
	})
	return s
}

// stop sends SIGTERM and waits until the sidecar has exited.
func (s *sidecar) stop(t *testing.T) {
	t.Helper()
	must(t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.done:
	case <-time.After(waitLimit):
		t.Fatalf("daprd did not exit within %s of SIGTERM", waitLimit)
	}
}

// kill sends SIGKILL and waits until the sidecar has exited. It does nothing if
// the sidecar has exited already.
func (s *sidecar) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// output returns the sidecar's log so far.
func (s *sidecar) output() string {
	text, _ := os.ReadFile(s.log)
	return string(text)
}

type response struct {
	status     int
	etag, body string
	header     http.Header
}

func (r response) String() string { return fmt.Sprintf("%d %s etag=%s", r.status, r.body, r.etag) }

// do sends a request to the sidecar's API and fails the test if there is no
// response.
func (s *sidecar) do(t *testing.T, method, path, body string, header http.Header) response {
	t.Helper()
	r, err := s.try(method, path, body, header)
	must(t, err)
	return r
}

// try is like do, but returns the error. It is for a sidecar that may not be
// listening yet.
func (s *sidecar) try(method, path, body string, header http.Header) (response, error) {
	req, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path), strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Dapr-Api-Token", apiToken)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: waitLimit}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header.Get("Etag"), string(text), resp.Header}, err
}

// freePorts returns n different ports that are free now. They lie below Linux's
// ephemeral range, so that no outgoing connection takes one before daprd binds
// it.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30000+rand.IntN(2700)))
		if err != nil {
			if tries > 100 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close() // keep it open until all are chosen, so that none repeats
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// eventually waits until ok returns true. It fails the test after waitLimit.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(waitLimit)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("timed out after %s waiting until %s", waitLimit, what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
