// Package server answers MongoDB's wire protocol from an embedded store.
//
// It is for development, tests and demonstrations on one machine; production
// is MongoDB. It presents itself as the primary of a replica set with one
// member, so that drivers use sessions and retryable writes. What it does not
// do it refuses with MongoDB's error code and the name of the thing.
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

// Config says where a server listens and keeps its data. Listen and Data are
// required.
type Config struct {
	Listen string // host:port; port 0 takes a free one
	Data   string // folder, made if it is not there
	// TestCommands allows configureFailPoint.
	TestCommands bool
	// ExpireEvery is how often expired documents are deleted; 0 means 10 s.
	ExpireEvery time.Duration
	// CacheBytes, MemTableBytes, MinFreeBytes and FS are the store's, see
	// storage.Options.
	CacheBytes    int64
	MemTableBytes uint64
	MinFreeBytes  uint64
	FS            vfs.FS
	Log           *slog.Logger // nil discards
}

// Server is a running server.
type Server struct {
	cfg      Config
	commands map[string]*command
	log      *slog.Logger
	store    *storage.Store
	listener net.Listener
	started  time.Time

	ctx    context.Context // ends when the server closes
	cancel context.CancelFunc
	wg     sync.WaitGroup

	closing sync.Once
	closed  error

	mu    sync.Mutex
	conns map[*conn]struct{}

	connIDs, replyIDs atomic.Int32
	requests          atomic.Int64
	cursors           cursors
	sessions          sessions
	failPoints        failPoints
}

// Start opens the folder, listens and serves until Close. The errors are that
// the address is taken, and storage.ErrLocked if the folder is.
func Start(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, commands: newCommands(), log: cfg.Log, started: time.Now(), conns: map[*conn]struct{}{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.cfg.ExpireEvery = cmp.Or(cfg.ExpireEvery, 10*time.Second)
	var err error
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
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

// Failed is closed when the store can no longer write; Err says why.
func (s *Server) Failed() <-chan struct{} { return s.store.Failed() }

// Err returns what ended the store's writing, nil while it writes.
func (s *Server) Err() error { return s.store.Err() }

// Close ends all connections and closes the store. What was acknowledged is
// on disk already; a command under way is interrupted. Further calls return
// what the first did.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
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

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			s.log.Warn("accept", "error", err)
			select { // as when file descriptors run out: they come back
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
		if s.ctx.Err() != nil { // Close may have passed over it
			nc.Close()
		}
		s.wg.Go(c.serve)
	}
}

// housekeep deletes expired documents, idle cursors and idle sessions.
func (s *Server) housekeep() {
	expire := time.NewTicker(s.cfg.ExpireEvery)
	defer expire.Stop()
	tidy := time.NewTicker(time.Minute)
	defer tidy.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case now := <-expire.C:
			if _, err = s.store.Expire(now, s.ctx.Err); s.ctx.Err() != nil {
				return
			}
		case now := <-tidy.C:
			s.cursors.closeIdle(now)
			err = s.sessions.forgetIdle(s.store, now)
		}
		if err != nil {
			s.log.Error("housekeeping", "error", err)
		}
	}
}

// conn is a client's connection. Its commands run one after another.
type conn struct {
	s       *Server
	nc      net.Conn
	id      int32
	appName string // of the client's first hello
}

// errHangUp ends a connection without a reply, as a fail point asks.
var errHangUp = errors.New("hang up")

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
			if err != io.EOF && !errors.Is(err, net.ErrClosed) {
				c.s.log.Debug("connection ended", "peer", c.nc.RemoteAddr().String(), "error", err)
			}
			return
		}
		c.s.requests.Add(1)
		reply, err := c.handle(req)
		if err != nil {
			if err != errHangUp {
				c.s.log.Error("connection ended", "peer", c.nc.RemoteAddr().String(), "error", err)
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

// handle runs a request. A panic is a bug of ours: it is logged, answered as
// an InternalError and ends nothing else.
func (c *conn) handle(req *wire.Request) (reply []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.log.Error("panic in a command", "panic", fmt.Sprint(r), "stack", stack())
			reply, err = marshalReply(errorReply(internal(r), nil)), nil
		}
	}()
	return c.run(req)
}
