// Package servers starts for a test what is no Go package here: a MongoDB and a
// Dapr sidecar, each on a free port of 127.0.0.1, and ends them with the test.
package servers

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/test/process"
)

const (
	readyWithin = 60 * time.Second
	stopWithin  = 5 * time.Second
)

// Mongo is a database that is empty and the test's own.
type Mongo struct {
	URI      string
	Database string
}

// StartMongo returns a database on the server that $MONGO_URI names, else on a
// mongolite of the test's own.
func StartMongo(t *testing.T) Mongo {
	t.Helper()
	m := Mongo{URI: os.Getenv("MONGO_URI"), Database: "test_" + strings.ToLower(rand.Text()[:10])}
	if m.URI == "" {
		m.URI = startMongolite(t)
		return m
	}
	t.Cleanup(func() {
		// The test's own context is done by now.
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(m.URI))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = client.Disconnect(ctx) }()
		if err := client.Database(m.Database).Drop(ctx); err != nil {
			t.Errorf("drop %s: %v", m.Database, err)
		}
	})
	return m
}

// startMongolite returns the URI that the server prints when it listens.
func startMongolite(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(build(t, "mongolite"), "--listen", "127.0.0.1:0", "--data", t.TempDir()) //nolint:gosec,noctx // ended by its cleanup
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("mongolite: %v", err)
	}
	_, uri, ok := strings.Cut(strings.TrimSpace(line), "ready on ")
	if !ok {
		t.Fatalf("mongolite says %q", line)
	}
	return uri
}

// SidecarConfig says which sidecar to start.
type SidecarConfig struct {
	AppID      string
	AppPort    int      // 0: the app does not listen
	Components []string // each the text of a YAML file
	APIToken   string   // asked for by the sidecar; may be empty
	AppToken   string   // shown to the app; may be empty
}

// Sidecar is a running daprd.
type Sidecar struct {
	HTTPPort int
	GRPCPort int
}

// GRPCAddr is where its gRPC API listens.
func (s Sidecar) GRPCAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.GRPCPort)) }

// URL is where its HTTP API listens.
func (s Sidecar) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.HTTPPort))
}

// StartSidecar runs a daprd and waits until its own API answers. It waits for no
// app.
func StartSidecar(t *testing.T, cfg SidecarConfig) Sidecar {
	t.Helper()
	dir := t.TempDir()
	for i, text := range cfg.Components {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Sidecar{HTTPPort: FreePort(t), GRPCPort: FreePort(t)}
	args := []string{
		"--app-id", cfg.AppID, "--resources-path", dir, "--log-level", "error",
		"--placement-host-address", "", "--scheduler-host-address", "",
		"--dapr-http-port", strconv.Itoa(s.HTTPPort), "--dapr-grpc-port", strconv.Itoa(s.GRPCPort),
		"--dapr-internal-grpc-port", strconv.Itoa(FreePort(t)), "--enable-metrics=false",
		"--dapr-listen-addresses", "127.0.0.1",
	}
	if cfg.AppPort > 0 {
		args = append(args, "--app-port", strconv.Itoa(cfg.AppPort))
	}
	cmd := exec.Command(daprd(t), args...) //nolint:gosec,noctx // ended by its cleanup
	cmd.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1", "DAPR_API_TOKEN="+cfg.APIToken, "APP_API_TOKEN="+cfg.AppToken)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	start(t, cmd)
	await(t, s.URL()+"/v1.0/healthz/outbound")
	return s
}

// Component is the YAML of a component with these pairs of metadata.
func Component(name, kind string, metadata ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\nspec:\n  type: %s\n  version: v1\n  metadata:\n", name, kind)
	for i := 0; i+1 < len(metadata); i += 2 {
		fmt.Fprintf(&b, "    - {name: %s, value: %q}\n", metadata[i], metadata[i+1])
	}
	return b.String()
}

// daprd is the sidecar that $DAPRD names, else the one of tools/daprd.
func daprd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	return build(t, "daprd")
}

// start runs a program until the test ends, or the test's process does.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.WaitDelay = stopWithin
	ended, err := process.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := time.AfterFunc(stopWithin, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
}

func await(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode/100 == 2 {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is not ready: %v", url, err)
		}
	}
}

// listening waits until a server accepts connections at a port, and returns its
// address.
func listening(t *testing.T, port int) string {
	t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nothing listens at %s: %v", addr, err)
		}
	}
}

// build makes the program of tools/<name> in bin/, and does nothing when it is
// there and current. Tests of several packages take turns.
func build(t *testing.T, name string) string {
	t.Helper()
	root := repository(t)
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(bin, name+"-for-tests.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(bin, name+"-for-tests")
	dir := filepath.Join(root, "tools", name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", ldflags(t, dir), "-o", path, ".") //nolint:gosec // ours
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// ldflags are those that the program's file of this name holds, if it has one.
func ldflags(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ldflags")) //nolint:gosec // ours
	if errors.Is(err, fs.ErrNotExist) {
		return "-s -w"
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func repository(t *testing.T) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("the sources are not where they were built; test without -trimpath")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// FreePort is a port that nobody listens on.
func FreePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
