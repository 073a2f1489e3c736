// Package e2e_test proves from outside what mongolite promises about
// atomicity and durability: over the wire, with the official driver, against
// servers in this process and against the real command, killed at any moment.
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

// patience bounds every wait: what takes longer hangs.
const patience = time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	if command.dir != "" {
		os.RemoveAll(command.dir)
	}
	os.Exit(code)
}

// command is the mongolite command, built at its first use.
var command struct {
	once sync.Once
	dir  string
	path string
	err  error
}

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

// process is a mongolite command that runs.
type process struct {
	cmd    *exec.Cmd
	addr   string
	stderr *lockedBuffer
	exited chan struct{} // closed when it ended; err is set before
	err    error
}

// lockedBuffer may be read while a process still writes to it.
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

// launch starts the command and returns at once; it is killed when the test
// ends if it still runs then.
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

// start runs the command on a folder until it is ready. An empty listen takes
// any free port.
func start(t *testing.T, listen, dir string) *process {
	t.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	return startCommand(t, exec.Command(commandPath(t), "--listen", listen, "--data", dir, "--cache-mib", "32", "--test-commands"))
}

// startCommand runs the command until it is ready.
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
			t.Fatalf("got the first line %q", line)
		}
		p.addr, _, _ = strings.Cut(rest, "/")
	case <-p.exited:
		t.Fatalf("mongolite ended at its start: %v\n%s", p.err, p.stderr)
	case <-time.After(patience):
		t.Fatalf("mongolite is not ready\n%s", p.stderr)
	}
	return p
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.cmd.Process.Kill()
	p.wait(t)
}

// wait waits for the end and returns the exit code, -1 after a signal.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("process %d does not end", p.cmd.Process.Pid)
		return 0
	}
}

// freePort returns a port below those that the system gives to outgoing
// connections, so that it stays free while a server restarts on it.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
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

// serve starts a server in this process, closed when the test ends.
func serve(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(withDefaults(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

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

// closeServer closes a server, also one that is closed already.
func closeServer(t *testing.T, s *server.Server) {
	t.Helper()
	within(t, "close the server", func() { s.Close() })
}

// within fails the test if fn does not return in time.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: no end", what)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// connect returns a client, disconnected when the test ends.
func connect(t *testing.T, addr string, with ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	base := options.Client().ApplyURI("mongodb://" + addr + "/?directConnection=true").
		SetServerSelectionTimeout(patience).SetMaxPoolSize(64).SetMaxConnecting(16)
	client, err := mongo.Connect(append([]*options.ClientOptions{base}, with...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disconnect(client) })
	return client
}

func disconnect(client *mongo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = client.Disconnect(ctx) // also of a server that is gone
}

// deadline returns a context that ends when the test has waited too long.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parallel runs fn n times at once and waits.
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

// codeOf returns the code of a server's error, 0 for none and for errors of
// another kind.
func codeOf(err error) int {
	var se mongo.ServerError
	if errors.As(err, &se) {
		if codes := se.ErrorCodes(); len(codes) > 0 {
			return codes[0]
		}
	}
	return 0
}

// rawConn speaks OP_MSG without a driver, so that a test decides itself what
// lsid and txnNumber a command carries and when it is sent again.
type rawConn struct{ net.Conn }

func dial(addr string) (rawConn, error) {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(patience))
	}
	return rawConn{nc}, err
}

// ask sends a command and returns the reply.
func (c rawConn) ask(cmd bson.D) (bson.M, error) {
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
