// Package servers starts the servers that tests need: MongoDB, NATS, Redis and Dapr
// sidecars. Each listens on a free port of 127.0.0.1 and ends with its test.
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

	"boxoffice/test/kit"
	"boxoffice/test/process"
)

const (
	readyWithin = 60 * time.Second
	stopWithin  = 5 * time.Second
)

// Mongo is an empty MongoDB database.
type Mongo struct {
	URI      string
	Database string
}

// StartMongo returns an empty database on the server that $MONGO_URI names. Without
// that variable, it starts a mongolite server.
func StartMongo(t testing.TB) Mongo {
	t.Helper()
	m := Mongo{URI: os.Getenv("MONGO_URI"), Database: "test_" + strings.ToLower(rand.Text()[:10])}
	if m.URI == "" {
		m.URI = startMongolite(t)
		return m
	}
	t.Cleanup(func() {
		// t.Context is already cancelled.
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

// startMongolite starts a mongolite server, and returns the URI that it prints once it
// listens.
func startMongolite(t testing.TB) string {
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
		t.Fatalf("mongolite: got line %q, want its URI", line)
	}
	return uri
}

// SidecarConfig configures a sidecar.
type SidecarConfig struct {
	AppID      string
	AppPort    int      // 0 if the app does not listen
	Components []string // the texts of YAML files
	APIToken   string   // token that the sidecar requires; empty for none
	AppToken   string   // token that the sidecar sends to the app; empty for none
}

// Sidecar is a running daprd.
type Sidecar struct {
	HTTPPort int
	GRPCPort int
}

// GRPCAddr returns the address of the gRPC API.
func (s Sidecar) GRPCAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.GRPCPort)) }

// URL returns the base URL of the HTTP API.
func (s Sidecar) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.HTTPPort))
}

// StartSidecar starts a daprd process, and waits until its API responds. It does not
// wait for the app.
func StartSidecar(t *testing.T, cfg SidecarConfig) Sidecar {
	t.Helper()
	dir := t.TempDir()
	for i, text := range cfg.Components {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Sidecar{HTTPPort: kit.FreePort(t), GRPCPort: kit.FreePort(t)}
	args := []string{
		"--app-id", cfg.AppID, "--resources-path", dir, "--log-level", "error",
		"--placement-host-address", "", "--scheduler-host-address", "",
		"--dapr-http-port", strconv.Itoa(s.HTTPPort), "--dapr-grpc-port", strconv.Itoa(s.GRPCPort),
		"--dapr-internal-grpc-port", strconv.Itoa(kit.FreePort(t)), "--enable-metrics=false",
		"--dapr-listen-addresses", "127.0.0.1",
	}
	if cfg.AppPort > 0 {
		args = append(args, "--app-port", strconv.Itoa(cfg.AppPort))
	}
	cmd := exec.Command(daprd(t), args...) //nolint:gosec,noctx // ended by its cleanup
	cmd.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1", "DAPR_API_TOKEN="+cfg.APIToken, "APP_API_TOKEN="+cfg.AppToken)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	start(t, cmd)
	awaitHealthy(t, s.URL()+"/v1.0/healthz/outbound")
	return s
}

// Component returns the YAML of a component. metadata contains alternating names
// and values.
func Component(name, kind string, metadata ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\nspec:\n  type: %s\n  version: v1\n  metadata:\n", name, kind)
	for i := 0; i+1 < len(metadata); i += 2 {
		fmt.Fprintf(&b, "    - {name: %s, value: %q}\n", metadata[i], metadata[i+1])
	}
	return b.String()
}

// daprd returns the path of the program that $DAPRD names. Without that variable, it
// builds tools/daprd.
func daprd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	return build(t, "daprd")
}

// start starts a program. The program ends with the test, and on Linux also with the
// test's process.
func start(t testing.TB, cmd *exec.Cmd) {
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

// awaitHealthy waits until a GET of url returns a 2xx status.
func awaitHealthy(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	kit.Eventually(t, readyWithin, url+" is healthy", func() error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("got status %d", res.StatusCode)
		}
		return nil
	})
}

// awaitListening waits until a server accepts connections at a port, and returns its
// address.
func awaitListening(t *testing.T, port int) string {
	t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	kit.Eventually(t, readyWithin, "a server listens at "+addr, func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return addr
}

// build builds tools/<name> unless it is up to date, and returns the program's path in
// bin/. A file lock keeps the tests of several packages from building it at once.
func build(t testing.TB, name string) string {
	t.Helper()
	root := repository(t)
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(bin, name+"-for-tests.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path in the repository
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // closing it unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(bin, name+"-for-tests")
	dir := filepath.Join(root, "tools", name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", ldflags(t, dir), "-o", path, ".") //nolint:gosec // a path in the repository
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// ldflags returns the linker flags in the file ldflags of a program's directory. If
// there is no such file, it returns flags that omit debugging information.
func ldflags(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ldflags")) //nolint:gosec // a path in the repository
	if errors.Is(err, fs.ErrNotExist) {
		return "-s -w"
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// repository returns the root of the repository.
func repository(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("the path of the sources is unknown; run the test without -trimpath")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
