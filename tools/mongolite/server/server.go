// Package server implements an embedded database server that speaks MongoDB's
// wire protocol.
//
// It is meant for development, tests and demonstrations on one machine; use
// MongoDB in production. The server presents itself as the primary of a replica
// set with one member, so that drivers use sessions and retryable writes.
// A request for a feature that it does not implement fails as a whole, with
// MongoDB's error code and the name of the feature. The server never executes just
// the supported part of a request.
//
// A connection runs its commands one after another. The server finds each
// command in a table, checks the fields of the request against the table, runs the
// command and replies when the changes are on disk.
package server

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"boxoffice/tools/mongolite/internal/storage"
	"boxoffice/tools/mongolite/internal/wire"
)

// Config is the configuration of a server. Listen and Data are required.
type Config struct {
	// Listen is the address, host:port. Port 0 selects a free port.
	Listen string
	// Data is the data directory. Start creates it if it does not exist.
	Data string
	// TestCommands enables the command configureFailPoint.
	TestCommands bool
	// ExpireEvery is the interval between deletions of expired documents; 0
	// means 10 seconds.
	ExpireEvery time.Duration
	// CacheBytes, MemTableBytes, MinFreeBytes and FS are passed to the store;
	// see storage.Options.
	CacheBytes    int64
	MemTableBytes uint64
	MinFreeBytes  uint64
	FS            vfs.FS
	// Log receives the server's log messages; nil discards them.
	Log *slog.Logger
}

// Server is a running server.
type Server struct {
	cfg      Config
	commands map[string]*command
	log      *slog.Logger
	store    *storage.Store
	listener net.Listener
	started  time.Time

	ctx    context.Context // canceled when the server closes
	cancel context.CancelFunc
	wg     sync.WaitGroup

	closeOnce sync.Once
	closeErr  error

	mu    sync.Mutex
	conns map[*conn]struct{}

	connIDs, replyIDs atomic.Int32
	requests          atomic.Int64
	cursors           cursors
	sessions          sessions
	failPoints        failPoints
}

// Start opens the data directory and serves on the listen address until Close.
// It returns an error if the address is in use, and storage.ErrLocked if the
// directory is already open.
func Start(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, commands: newCommands(), log: cfg.Log, started: time.Now(), conns: map[*conn]struct{}{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.cfg.ExpireEvery = cmp.Or(cfg.ExpireEvery, 10*time.Second)
	var err error
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil { //nolint:noctx // Start has no context
		return nil, err
	}
	s.store, err = storage.Open(storage.Options{
		Dir: cfg.Data, CacheBytes: cfg.CacheBytes, MemTableBytes: cfg.MemTableBytes, MinFreeBytes: cfg.MinFreeBytes, FS: cfg.FS, Log: s.log,
	})
	if err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.sessions.load(s.store); err != nil {
		return nil, errors.Join(err, s.store.Close(), s.listener.Close())
	}
	s.wg.Go(s.accept)
	s.wg.Go(s.housekeep)
	return s, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Failed returns a channel that is closed when the store can no longer write. Err
// then returns the reason.
func (s *Server) Failed() <-chan struct{} { return s.store.Failed() }

// Err returns the error after which the store stopped writing, or nil if it has
// not stopped.
func (s *Server) Err() error { return s.store.Err() }

// Close closes all connections and the store. It interrupts running commands.
// Acknowledged writes are already on disk. Further calls do nothing and return
// the same error.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	s.cancel()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.cursors.closeAll()
	return errors.Join(err, s.store.Close())
}

// accept serves new connections until the server closes.
func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			s.log.Warn("cannot accept a connection", "error", err)
			select { // the cause may be temporary, such as a lack of file descriptors
			case <-s.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		c := &conn{s: s, nc: nc, id: s.connIDs.Add(1)}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		if s.ctx.Err() != nil { // Close may not have seen this connection
			nc.Close()
		}
		s.wg.Go(c.serve)
	}
}

// housekeep deletes expired documents every ExpireEvery, and closes idle cursors
// and removes idle sessions every minute.
func (s *Server) housekeep() {
	expire := time.NewTicker(s.cfg.ExpireEvery)
	defer expire.Stop()
	cleanUp := time.NewTicker(time.Minute)
	defer cleanUp.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case now := <-expire.C:
			if _, err = s.store.Expire(now, s.ctx.Err); s.ctx.Err() != nil {
				return
			}
		case now := <-cleanUp.C:
			s.cursors.closeIdle(now)
			err = s.sessions.removeIdle(s.store, now)
		}
		if err != nil {
			s.log.Error("housekeeping failed", "error", err)
		}
	}
}

// conn is the connection of a client. Its commands run one after another.
type conn struct {
	s       *Server
	nc      net.Conn
	id      int32
	appName string // the application name in the client's first hello
}

// errCloseConn makes serve close the connection without a reply. Only fail points
// cause it.
var errCloseConn = errors.New("connection closed by a fail point")

// serve reads and answers requests until the connection ends.
func (c *conn) serve() {
	defer func() {
		c.nc.Close()
		c.s.mu.Lock()
		delete(c.s.conns, c)
		c.s.mu.Unlock()
	}()
	in := bufio.NewReaderSize(c.nc, 32<<10)
	var out []byte
	for {
		req, err := wire.Read(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				c.s.log.Debug("connection ended", "peer", c.nc.RemoteAddr().String(), "error", err)
			}
			return
		}
		c.s.requests.Add(1)
		reply, err := c.handle(req)
		if err != nil {
			if !errors.Is(err, errCloseConn) {
				c.s.log.Error("cannot answer request, connection closed", "peer", c.nc.RemoteAddr().String(), "error", err)
			}
			return
		}
		if req.MoreToCome {
			continue
		}
		out = req.AppendReply(out[:0], c.s.replyIDs.Add(1), reply)
		if _, err := c.nc.Write(out); err != nil {
			return
		}
		if cap(out) > 1<<20 {
			out = nil
		}
	}
}

// handle runs a request. If the request panics, handle logs the panic and returns
// an InternalError reply, so that the connection stays open.
func (c *conn) handle(req *wire.Request) (reply []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.log.Error("command panicked", "panic", fmt.Sprint(r), "stack", stack())
			reply, err = marshalReply(errorReply(internalError(r), nil)), nil
		}
	}()
	return c.run(req)
}
