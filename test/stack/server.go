package stack

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"boxoffice/test/kit"
	"boxoffice/test/process"
)

// Server is a NATS or Redis server that a test controls. A stack uses it if the stack's
// environment contains the address. Only the test restarts it; the devstack does not.
type Server struct {
	Addr string // host and port, the same after each start

	name  string
	args  []string
	cmd   *exec.Cmd // nil while the server is stopped
	ended <-chan error
}

// StartNATS starts a NATS server whose streams survive Stop. It ends with the test.
func StartNATS(t *testing.T) *Server {
	t.Helper()
	return startServer(t, "nats", "--data", t.TempDir())
}

// StartRedis starts a Redis server that is empty after each start: redis-server if
// it is on the PATH, and otherwise miniredis. It ends with the test.
func StartRedis(t *testing.T) *Server {
	t.Helper()
	return startServer(t, "redis")
}

func startServer(t *testing.T, name string, args ...string) *Server {
	t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(kit.FreePort(t)))
	s := &Server{Addr: addr, name: name, args: append([]string{name, "--listen", addr}, args...)}
	t.Cleanup(func() { s.Stop(t) })
	s.Start(t)
	return s
}

// Start starts the server at its address, and returns when it listens. It does
// nothing if the server is running.
func (s *Server) Start(t *testing.T) {
	t.Helper()
	if s.cmd != nil {
		return
	}
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "bin", "devstack-for-tests")
	if err := build(root, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, s.args...) //nolint:gosec,noctx // ended by Stop
	cmd.WaitDelay = time.Second
	if s.ended, err = process.Start(cmd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.cmd = cmd
	kit.Eventually(t, WaitTimeout, s.name+" listens at "+s.Addr, func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Stop ends the server. It does nothing if the server is stopped.
func (s *Server) Stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	kill := time.AfterFunc(stopWithin, func() { s.signal(t, syscall.SIGKILL) })
	defer kill.Stop()
	s.signal(t, syscall.SIGTERM)
	s.signal(t, syscall.SIGCONT) // a frozen process does not handle SIGTERM
	<-s.ended
	s.cmd = nil
}

// Freeze stops the server with SIGSTOP until Thaw or the end of the test. Its
// connections stay open, but it does not respond.
func (s *Server) Freeze(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	awaitStopped(t, s.name, s.cmd.Process.Pid)
	t.Cleanup(func() {
		if s.cmd != nil {
			s.signal(t, syscall.SIGCONT)
		}
	})
}

// Thaw lets the frozen server continue.
func (s *Server) Thaw(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *Server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s %s: %v", sig, s.name, err)
	}
}
