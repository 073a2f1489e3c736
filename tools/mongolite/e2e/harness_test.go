// Package e2e_test tests mongolite's promises about atomicity and durability
// from the outside. It uses the official driver over the wire. Some tests start
// servers in this process; others run the real command and kill it at random
// moments.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// waitLimit bounds every wait. A test treats anything slower as a hang.
const waitLimit = time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	if command.dir != "" {
		os.RemoveAll(command.dir)
	}
	os.Exit(code)
}

// command is the mongolite binary. commandPath builds it at the first call, and
// TestMain removes it.
var command struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// commandPath returns the path of the mongolite binary.
func commandPath(t *testing.T) string {
	t.Helper()
	command.once.Do(func() {
		if command.dir, command.err = os.MkdirTemp("", "mongolite-e2e-"); command.err != nil {
			return
		}
		command.path = filepath.Join(command.dir, "mongolite")
		out, err := exec.Command("go", "build", "-race=false", "-o", command.path, "boxoffice/tools/mongolite").CombinedOutput()
		if err != nil {
			command.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if command.err != nil {
		t.Fatal(command.err)
	}
	return command.path
}

// process is a running mongolite command.
type process struct {
	cmd    *exec.Cmd
	addr   string
	stderr *lockedBuffer
	exited chan struct{} // closed when the process has exited
	err    error         // the result of Wait, set before exited is closed
}

// lockedBuffer is a buffer that is safe for concurrent use. A test reads it
// while the process still writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch starts the command without waiting for it, and returns its standard
// output. If the command still runs when the test ends, it is killed.
func launch(t *testing.T, cmd *exec.Cmd) (*process, io.Reader) {
	t.Helper()
	p := &process{cmd: cmd, stderr: &lockedBuffer{}, exited: make(chan struct{})}
	cmd.Stderr = p.stderr
	stdout, w := io.Pipe()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		w.Close()
		close(p.exited)
	}()
	t.Cleanup(func() { p.kill(t) })
	return p, stdout
}

// start starts the command on a data directory and waits until it is ready. An
// empty listen address means any free port.
func start(t *testing.T, listen, dir string) *process {
	t.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	return startCommand(t, exec.Command(commandPath(t), "--listen", listen, "--data", dir, "--cache-mib", "32", "--test-commands"))
}

// startCommand starts cmd and waits until it is ready.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, stdout := launch(t, cmd)
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			ready <- lines.Text()
			break
		}
		io.Copy(io.Discard, stdout)
	}()
	select {
	case line := <-ready:
		rest, ok := strings.CutPrefix(line, "mongolite ready on mongodb://")
		if !ok {
			t.Fatalf("first line of output: got %q, want the ready message", line)
		}
		p.addr, _, _ = strings.Cut(rest, "/")
	case <-p.exited:
		t.Fatalf("mongolite exited before it was ready: %v\n%s", p.err, p.stderr)
	case <-time.After(waitLimit):
		t.Fatalf("mongolite was not ready within %s\n%s", waitLimit, p.stderr)
	}
	return p
}

// kill sends SIGKILL and waits until the process has exited.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.cmd.Process.Kill()
	p.wait(t)
}

// wait waits until the process has exited and returns its exit code, which is -1
// if a signal ended it.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(waitLimit):
		t.Fatalf("process %d did not exit within %s", p.cmd.Process.Pid, waitLimit)
		return 0
	}
}

// freePort returns a loopback address with a free port. The port lies below
// Linux's ephemeral range, so that no outgoing connection takes it while a
// server restarts on it.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30000+rand.IntN(2700)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// serve starts a server in this process. It is closed when the test ends.
func serve(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(withDefaults(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

// withDefaults fills in what cfg leaves empty: any free port, a temporary data
// directory and a small cache.
func withDefaults(t *testing.T, cfg server.Config) server.Config {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 32 << 20
	}
	return cfg
}

// closeServer closes a server. It may be called more than once.
func closeServer(t *testing.T, s *server.Server) {
	t.Helper()
	within(t, "close the server", func() { s.Close() })
}

// within runs fn and fails the test if fn does not return within waitLimit. It
// must be called from the test's goroutine.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(waitLimit):
		t.Fatalf("%s: did not return within %s", what, waitLimit)
	}
}

// eventually waits until ok returns true. It fails the test after waitLimit.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLimit); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %s waiting until %s", waitLimit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// connect returns a client for the server at addr. It is disconnected when the
// test ends.
func connect(t *testing.T, addr string, with ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	base := options.Client().ApplyURI("mongodb://" + addr + "/?directConnection=true").
		SetServerSelectionTimeout(waitLimit).SetMaxPoolSize(64).SetMaxConnecting(16)
	client, err := mongo.Connect(append([]*options.ClientOptions{base}, with...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disconnect(client) })
	return client
}

// disconnect closes the client. It ignores the error, because the server may
// have been killed.
func disconnect(client *mongo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = client.Disconnect(ctx)
}

// deadline returns a context that expires after twice waitLimit.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitLimit)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parallel calls fn(0) to fn(n-1) concurrently and waits for all of them.
func parallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			fn(i)
		})
	}
	close(gate)
	wg.Wait()
}

// codeOf returns the code of a server error. It returns 0 for nil and for other
// errors.
func codeOf(err error) int {
	var se mongo.ServerError
	if errors.As(err, &se) {
		if codes := se.ErrorCodes(); len(codes) > 0 {
			return codes[0]
		}
	}
	return 0
}

// rawConn sends OP_MSG messages without a driver. The test thus controls the lsid
// and the txnNumber of a command, and when the command is sent again.
type rawConn struct{ net.Conn }

// dial opens a rawConn that fails all reads and writes after waitLimit.
func dial(addr string) (rawConn, error) {
	nc, err := net.DialTimeout("tcp", addr, waitLimit)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(waitLimit))
	}
	return rawConn{nc}, err
}

// roundTrip sends a command and returns the reply.
func (c rawConn) roundTrip(cmd bson.D) (bson.M, error) {
	body, err := bson.Marshal(cmd)
	if err != nil {
		return nil, err
	}
	msg := binary.LittleEndian.AppendUint32(nil, uint32(21+len(body)))
	msg = binary.LittleEndian.AppendUint32(msg, 1)    // requestID
	msg = binary.LittleEndian.AppendUint32(msg, 0)    // responseTo
	msg = binary.LittleEndian.AppendUint32(msg, 2013) // OP_MSG
	msg = append(binary.LittleEndian.AppendUint32(msg, 0), 0)
	if _, err := c.Write(append(msg, body...)); err != nil {
		return nil, err
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	if _, err := io.ReadFull(c, rest); err != nil {
		return nil, err
	}
	var reply bson.M
	return reply, bson.Unmarshal(rest[5:], &reply)
}
