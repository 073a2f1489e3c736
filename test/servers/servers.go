// Package servers starts for a test what is no Go package here: a MongoDB and a
// Dapr sidecar, each on a free port of 127.0.0.1, and ends them with the test.
package servers

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
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
	cmd := exec.Command(build(t, "mongolite"), "--listen", "127.0.0.1:0", "--data", t.TempDir()) //nolint:gosec,noctx // ended by stop
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

// Sidecar is a running daprd.
type Sidecar struct {
	HTTPPort int
	GRPCAddr string
}

// StartSidecar runs daprd for an app that does not listen, with components, each
// the text of a YAML file. The sidecar asks for no token.
func StartSidecar(t *testing.T, appID string, components ...string) Sidecar {
	t.Helper()
	dir := t.TempDir()
	for i, text := range components {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Sidecar{HTTPPort: freePort(t)}
	grpc := freePort(t)
	s.GRPCAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(grpc))
	//nolint:gosec,noctx // ended by stop
	cmd := exec.Command(daprd(t), "--app-id", appID, "--resources-path", dir, "--log-level", "error",
		"--placement-host-address", "", "--scheduler-host-address", "",
		"--dapr-http-port", strconv.Itoa(s.HTTPPort), "--dapr-grpc-port", strconv.Itoa(grpc),
		"--dapr-internal-grpc-port", strconv.Itoa(freePort(t)), "--enable-metrics=false",
		"--dapr-listen-addresses", "127.0.0.1")
	cmd.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	start(t, cmd)
	await(t, fmt.Sprintf("http://127.0.0.1:%d/v1.0/healthz/outbound", s.HTTPPort))
	return s
}

// daprd is the sidecar that $DAPRD names, else the one of tools/daprd.
func daprd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAPRD"); path != "" {
		return path
	}
	return build(t, "daprd")
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = stopWithin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := time.AfterFunc(stopWithin, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
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
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".") //nolint:gosec // ours
	cmd.Dir = filepath.Join(root, "tools", name)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

func repository(t *testing.T) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("the sources are not where they were built; test without -trimpath")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
