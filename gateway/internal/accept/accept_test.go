package accept_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/gateway/internal/accept"
	"boxoffice/test/kit"
)

// server accepts connections until the test ends, and keeps them open.
type server struct {
	t        *testing.T
	limits   *accept.Limits
	addr     string
	log      *kit.Log
	accepted chan net.Conn
}

func start(t *testing.T, cfg accept.Config) *server {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all addresses of 127.0.0.0/8")
	}
	s := &server{t: t, log: &kit.Log{}, accepted: make(chan net.Conn, 100)}
	cfg.Log = slog.New(slog.NewTextHandler(s.log, nil))
	s.limits = accept.NewLimits(cfg)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = inner.Addr().String()
	l := s.limits.Wrap(inner)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- conn
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(s.accepted)
		for conn := range s.accepted {
			conn.Close()
		}
	})
	return s
}

// dial connects from an address of the loopback network.
func (s *server) dial(from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(s.t.Context(), "tcp", s.addr)
	if err == nil {
		s.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// open connects and returns the server's end of the connection.
func (s *server) open(from string) (client, accepted net.Conn) {
	s.t.Helper()
	client, err := s.dial(from)
	if err != nil {
		s.t.Fatal(err)
	}
	select {
	case accepted = <-s.accepted:
		s.t.Cleanup(func() { accepted.Close() })
	case <-time.After(5 * time.Second):
		s.t.Fatalf("the connection from %s was not accepted", from)
	}
	return client, accepted
}

// wantReset checks that the server resets a connection.
func (s *server) wantReset(from string) {
	s.t.Helper()
	conn, err := s.dial(from) // fails if the reset arrives early enough
	if err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		s.t.Errorf("connection from %s: got %v, want a reset", from, err)
	}
}

func (s *server) wantOpen(connections, networks int) {
	s.t.Helper()
	if c, n := s.limits.Open(); c != connections || n != networks {
		s.t.Errorf("got %d open connections from %d networks, want %d from %d", c, n, connections, networks)
	}
}

func TestConnectionsAreLimitedPerAddressAndInTotal(t *testing.T) {
	s := start(t, accept.Config{MaxTotal: 5, MaxPerAddress: 3})
	_, first := s.open("127.0.0.20")
	s.open("127.0.0.20")
	s.open("127.0.0.20")
	s.wantReset("127.0.0.20")
	s.open("127.0.0.21")
	_, last := s.open("127.0.0.21")
	s.wantReset("127.0.0.21") // has fewer than 3, but there are 5 in total
	s.wantReset("127.0.0.22")
	s.wantOpen(5, 2)

	// A closed connection makes room, once.
	for range 2 {
		_ = last.Close()
	}
	s.wantOpen(4, 2)
	s.wantReset("127.0.0.20") // has 3
	s.open("127.0.0.22")
	_ = first.Close()
	s.open("127.0.0.20")
	s.wantOpen(5, 3)
	if lines := strings.Count(s.log.String(), "connections refused"); lines != 1 || strings.Contains(s.log.String(), "127.0.0.") {
		t.Errorf("got %d lines, want 1 without an address:\n%s", lines, s.log)
	}
}

func TestProxiesAreLimitedInTotalOnly(t *testing.T) {
	proxy := netip.MustParseAddr("127.0.0.20")
	s := start(t, accept.Config{MaxTotal: 4, MaxPerAddress: 1, Unlimited: func(a netip.Addr) bool { return a == proxy }})
	for range 3 {
		s.open("127.0.0.20")
	}
	s.open("127.0.0.21")
	s.wantReset("127.0.0.21")
	s.wantReset("127.0.0.20")
}

// A server sets options of the connections that it accepts, such as the size of the
// kernel's buffers.
func TestConnectionsAreThoseOfTCP(t *testing.T) {
	s := start(t, accept.Config{MaxTotal: 1, MaxPerAddress: 1})
	client, accepted := s.open("127.0.0.20")
	if err := accepted.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(4096); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(accepted, "hello"); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	_ = client.Close() // does not make room before the server has closed its end
	s.wantOpen(1, 1)
}

// scripted is a listener that returns the given errors, and then waits until it is closed.
type scripted struct {
	errs   []error
	calls  int
	closed chan struct{}
}

func (l *scripted) Accept() (net.Conn, error) {
	l.calls++
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *scripted) Close() error   { close(l.closed); return nil }
func (l *scripted) Addr() net.Addr { return &net.TCPAddr{} }

// failure returns the error that the net package returns for an errno of accept(2).
func failure(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func TestTemporaryErrorsAreRetriedWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		inner := &scripted{closed: make(chan struct{}), errs: []error{
			failure(syscall.EMFILE), failure(syscall.ENFILE), failure(syscall.ENOBUFS), failure(syscall.ENOMEM), failure(syscall.ECONNABORTED),
		}}
		l := accept.NewLimits(accept.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}).Wrap(inner)
		began := time.Now()
		done := make(chan error, 1)
		go func() { _, err := l.Accept(); done <- err }()
		<-time.After(time.Second)
		synctest.Wait()
		if inner.calls != 6 {
			t.Errorf("got %d calls, want 6", inner.calls)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("got %d lines, want one for all failures:\n%s", lines, &log)
		}
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: got %v, want net.ErrClosed", err)
		}
		if took := time.Since(began); took < 155*time.Millisecond { // 5 + 10 + 20 + 40 + 80
			t.Errorf("five retries took %s, want growing pauses", took)
		}
	})
}

func TestCloseEndsTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &scripted{closed: make(chan struct{})}
		for range 20 {
			inner.errs = append(inner.errs, failure(syscall.EMFILE))
		}
		l := accept.NewLimits(accept.Config{Log: slog.New(slog.DiscardHandler)}).Wrap(inner)
		done := make(chan error, 1)
		go func() { _, err := l.Accept(); done <- err }()
		<-time.After(3 * time.Second) // within a pause of one second
		synctest.Wait()
		closed := time.Now()
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) || time.Since(closed) > 0 {
			t.Errorf("got %v after %s, want net.ErrClosed at once", err, time.Since(closed))
		}
	})
}

func TestOtherErrorsEndTheServer(t *testing.T) {
	for _, err := range []error{net.ErrClosed, failure(syscall.EBADF), failure(syscall.EINVAL), io.EOF} {
		inner := &scripted{closed: make(chan struct{}), errs: []error{err}}
		l := accept.NewLimits(accept.Config{Log: slog.New(slog.DiscardHandler)}).Wrap(inner)
		if _, got := l.Accept(); !errors.Is(got, err) {
			t.Errorf("got %v, want %v", got, err)
		}
	}
}

// The server goes on as soon as there are file descriptors again.
func TestRealLackOfFiles(t *testing.T) {
	s := start(t, accept.Config{MaxTotal: 10, MaxPerAddress: 10})
	giveBack := kit.ExhaustFiles(t)
	var client net.Conn
	kit.Eventually(t, 10*time.Second, "a connection uses the last file", func() error {
		giveBack(1)
		var err error
		client, err = new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
		return err
	})
	defer client.Close()
	kit.Eventually(t, 10*time.Second, "accept fails or a file is left", func() bool {
		return strings.Contains(s.log.String(), "too many open files") || len(s.accepted) > 0
	})
	giveBack(1 << 20)
	select {
	case conn := <-s.accepted:
		conn.Close()
	case <-time.After(10 * time.Second):
		t.Fatalf("the connection was not accepted:\n%s", s.log)
	}
}
