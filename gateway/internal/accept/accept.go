// Package accept limits the TCP connections of a server, in total and for each client
// address, and keeps the server alive while connections cannot be accepted.
//
// A connection counts from its acceptance until it is closed, whatever is sent on it. One
// that would exceed a limit is reset at once. It gets no HTTP response, because an answer
// to a request that was not read is often lost when the connection is closed, and to wait
// for the request would hold the file descriptor that is lacking.
//
// A server that fails to accept a connection is usually short of file descriptors or
// memory, which passes. The listener therefore retries with exponential back-off (as
// net/http does) instead of returning the error, which would end the server.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"boxoffice/shared/subnet"
	"boxoffice/shared/telemetry"
)

const (
	// minBackoff and maxBackoff limit the time between two attempts to accept.
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
	// logInterval is the minimum time between two log lines about the same subject.
	logInterval = time.Minute
)

// Config configures Limits. All fields except Unlimited must be set.
type Config struct {
	MaxTotal      int // connections
	MaxPerAddress int // connections of one address, or of one /64 for IPv6
	// Unlimited reports whether MaxPerAddress does not apply to an address, because it is
	// that of a proxy, whose connections carry the requests of many clients. Nil applies
	// the limit to every address.
	Unlimited func(netip.Addr) bool
	Log       *slog.Logger
}

// Limits counts the connections of all listeners that Wrap has returned. It is safe for
// concurrent use.
type Limits struct {
	cfg Config

	mu        sync.Mutex
	total     int
	addresses map[netip.Prefix]int // only those with connections
	refused   int                  // since the last log line
	loggedAt  time.Time
}

// NewLimits returns Limits without connections.
func NewLimits(cfg Config) *Limits {
	return &Limits{cfg: cfg, addresses: map[netip.Prefix]int{}}
}

// Open returns the number of open connections, and of the networks that they come from.
func (l *Limits) Open() (connections, networks int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, len(l.addresses)
}

// Wrap returns a listener that accepts the connections of inner within the limits.
func (l *Limits) Wrap(inner net.Listener) net.Listener {
	return &listener{Listener: inner, limits: l, closed: make(chan struct{})}
}

// add counts a connection from addr. It returns the reason if the connection exceeds a
// limit, and otherwise the empty string. The caller must call remove once the connection
// is closed.
func (l *Limits) add(addr netip.Addr) (network netip.Prefix, reason string) {
	network = subnet.OfAddr(addr)
	isLimited := l.cfg.Unlimited == nil || !l.cfg.Unlimited(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.total >= l.cfg.MaxTotal:
		return network, "total"
	case isLimited && l.addresses[network] >= l.cfg.MaxPerAddress:
		return network, "address"
	}
	l.total++
	l.addresses[network]++
	return network, ""
}

// remove undoes add.
func (l *Limits) remove(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.addresses[network]--; l.addresses[network] == 0 {
		delete(l.addresses, network)
	}
}

// logRefusal logs that a connection was refused, unless a line was logged recently. The
// line counts the refusals since the last one. It does not contain the client's address.
func (l *Limits) logRefusal(reason string) {
	l.mu.Lock()
	l.refused++
	n, now := l.refused, time.Now()
	isDue := now.Sub(l.loggedAt) >= logInterval
	if isDue {
		l.refused, l.loggedAt = 0, now
	}
	l.mu.Unlock()
	if isDue {
		l.cfg.Log.Warn("connections refused", telemetry.KeyReason, reason, "count", n)
	}
}

// listener is the listener that Wrap returns.
type listener struct {
	net.Listener
	limits *Limits
	once   sync.Once
	closed chan struct{} // closed by Close
}

// Close implements net.Listener. It also ends the wait of a running Accept.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept implements net.Listener. It returns an error only if the listener is closed or
// cannot recover.
func (l *listener) Accept() (net.Conn, error) {
	var backoff retry
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			if !isTemporary(err) {
				return nil, err
			}
			backoff.log(l.limits.cfg.Log, err)
			if !backoff.wait(l.closed) {
				return nil, net.ErrClosed
			}
			continue
		}
		backoff = retry{loggedAt: backoff.loggedAt}
		if conn := l.limits.admit(accepted); conn != nil {
			return conn, nil
		}
	}
}

// admit returns the accepted connection in the form that counts it, or nil if it was
// refused.
func (l *Limits) admit(accepted net.Conn) net.Conn {
	tcp, ok := accepted.(*net.TCPConn)
	if !ok { // not on the network, so there is nothing to limit
		return accepted
	}
	var addr netip.Addr
	if remote, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		addr = remote.AddrPort().Addr().Unmap()
	}
	network, reason := l.add(addr)
	if reason != "" {
		_ = tcp.SetLinger(0) // resets the connection, so that the kernel does not keep it either
		_ = tcp.Close()
		l.logRefusal(reason)
		return nil
	}
	return &conn{TCPConn: tcp, release: sync.OnceFunc(func() { l.remove(network) })}
}

// conn is a counted connection. Its methods are those of the TCP connection, so that
// servers can still set socket options.
type conn struct {
	*net.TCPConn
	release func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.release()
	return err
}

// retry is the back-off between attempts to accept.
type retry struct {
	delay    time.Duration // before the next attempt
	loggedAt time.Time
}

// wait waits until the next attempt is due. It reports false if closed was closed first.
func (r *retry) wait(closed <-chan struct{}) bool {
	r.delay = min(max(2*r.delay, minBackoff), maxBackoff)
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closed:
		return false
	}
}

// log logs err, unless a line was logged recently.
func (r *retry) log(log *slog.Logger, err error) {
	if now := time.Now(); now.Sub(r.loggedAt) >= logInterval {
		r.loggedAt = now
		log.Error("accepting connections failed", telemetry.KeyError, err.Error())
	}
}

// temporary returns the errors of accept(2) after which a later call may succeed: the
// process or the machine lacks a resource, or the client or the network has failed.
func temporary() []error {
	return []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EINTR, syscall.EAGAIN, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM,
		syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP,
		syscall.ENETUNREACH, syscall.ETIMEDOUT,
	}
}

// isTemporary reports whether a later call may succeed after err.
func isTemporary(err error) bool {
	return slices.ContainsFunc(temporary(), func(target error) bool { return errors.Is(err, target) })
}
