// Package storage keeps collections of BSON documents and their indexes in a
// Pebble key-value store.
//
// A statement writes all that it changes (documents, index entries, the record
// that answers its repetition) in one Pebble batch, so that a crash leaves all
// of it or nothing and a start needs no repair. Statements of one collection
// are decided and applied one after another under its write lock; none waits
// for the disk there. Store.Sync, called once before a command is acknowledged,
// does: Pebble's log is written in the order of the batches and flushed for all
// who wait, so parallel writers share the cost of a flush.
//
// Layout, all integers big-endian:
//
//	c <namespace>               the collection and its indexes, BSON
//	n                           the next free number, uint32
//	d <collection> <key of _id> the document, BSON
//	i <index> <keys> [<key of _id>]   the key of _id; left out of a unique index's key
//	t <session> <statement>     what a retryable write answered, BSON
package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

const (
	tagCatalog  = 'c'
	tagNumber   = 'n'
	tagDocument = 'd'
	tagIndex    = 'i'
	tagAnswer   = 't'
)

// Options say where and how a store keeps its files.
type Options struct {
	Dir string
	// CacheBytes is the size of the block cache; 0 means 256 MiB.
	CacheBytes int64
	// MemTableBytes is how much is kept in memory before it is written to a
	// table; 0 means 64 MiB.
	MemTableBytes uint64
	// MinFreeBytes is the free space under which writes are refused with
	// OutOfDiskSpace, so that what was accepted can still be flushed; 0 means
	// 64 MiB.
	MinFreeBytes uint64
	// FS is the file system; nil means the operating system's.
	FS  vfs.FS
	Log *slog.Logger
}

// Store is an open data folder. All methods may be called concurrently.
type Store struct {
	db      *pebble.DB
	disk    *disk
	dir     string
	minFree uint64

	freeUntil atomic.Int64 // unix milliseconds until which the last look at the free space counts
	failed    atomic.Pointer[error]
	down      chan struct{} // closed at the first failure

	mu    sync.RWMutex // guards colls and next
	colls map[string]*Collection
	next  uint32
}

// ErrLocked is returned by Open when another process has the folder open.
var ErrLocked = errors.New("the data folder is in use by another process")

// Open opens the folder, makes it if it is not there, and loads the catalog.
// It returns ErrLocked while another process has it open.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 256 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 64 << 20
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: o.Dir, minFree: o.MinFreeBytes, colls: map[string]*Collection{}, next: 1, down: make(chan struct{})}
	s.disk = newDisk(o.FS, s)
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                          s.disk,
		Cache:                       cache,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       24,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      pebbleLog{s, o.Log},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(o.Dir, opts)
	if isLocked(err) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Dir, err)
	}
	s.db = db
	s.disk.opened.Store(true)
	if err := s.loadCatalog(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// isLocked tells whether Open failed for a lock that is held: by another
// process, as fcntl says without a path, or by this one.
func isLocked(err error) bool {
	var path *fs.PathError
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES)
	return held && !errors.As(err, &path) || err != nil && strings.Contains(err.Error(), "lock held by current process")
}

// Close closes the folder. No other call may be under way.
func (s *Store) Close() error { return s.db.Close() }

// Sync returns when everything applied before the call is on disk.
func (s *Store) Sync() (err error) {
	defer s.recoverFailure(&err)
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return err
	}
	if err := s.Err(); err != nil { // Pebble does not know, see disk
		return diskError(err)
	}
	return nil
}

// Failed is closed when the store can no longer write, as after an error of
// the disk; Err then says why. Everything acknowledged before is kept.
func (s *Store) Failed() <-chan struct{} { return s.down }

// Err returns what ended the store's writing, nil while it writes.
func (s *Store) Err() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// writable refuses a write while the disk is nearly full or the store failed.
func (s *Store) writable() error {
	if err := s.Err(); err != nil {
		return diskError(err)
	}
	if err := s.disk.writesTables(); err != nil {
		return diskError(err)
	}
	now := time.Now().UnixMilli()
	if now < s.freeUntil.Load() {
		return nil
	}
	usage, err := s.disk.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < s.minFree {
		return mongoerr.New(mongoerr.OutOfDiskSpace,
			"only %d MiB are free on the disk of the data folder, writes need %d MiB", usage.AvailBytes>>20, s.minFree>>20)
	}
	s.freeUntil.Store(now + 100)
	return nil
}

// large is the size from which a batch is held against the free space by
// itself; for smaller ones there is minFree.
const large = 1 << 20

// apply makes the batch visible and queues it for the log. It refuses one that
// the disk has no room for, which would end the store's writing.
func (s *Store) apply(b *pebble.Batch) (err error) {
	defer s.recoverFailure(&err)
	if n := uint64(b.Len()); n > large {
		usage, err := s.disk.GetDiskUsage(s.dir)
		if err == nil && usage.AvailBytes < s.minFree+n {
			return mongoerr.New(mongoerr.OutOfDiskSpace, "the statement writes %d MiB and %d MiB are free on the disk of the data folder", n>>20, usage.AvailBytes>>20)
		}
	}
	return s.db.Apply(b, pebble.NoSync)
}

// storeFailure is what Pebble's Fatalf panics with: Pebble cannot go on
// behind it and must not return to its caller as if it had written.
type storeFailure struct{ err error }

func (s *Store) fail(err error) {
	if s.failed.CompareAndSwap(nil, &err) {
		close(s.down)
	}
}

func (s *Store) recoverFailure(err *error) {
	switch r := recover().(type) {
	case nil:
	case storeFailure:
		*err = diskError(r.err)
	case error: // Pebble panics with an error of its log
		s.fail(r)
		*err = diskError(r)
	default:
		panic(r)
	}
}

func diskError(err error) error {
	code := mongoerr.InternalError
	if errors.Is(err, syscall.ENOSPC) {
		code = mongoerr.OutOfDiskSpace
	}
	return mongoerr.New(code, "the store cannot write: %v", err)
}

// pebbleLog passes Pebble's errors on and leaves out its chatter.
type pebbleLog struct {
	s   *Store
	log *slog.Logger
}

func (l pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("pebble", "error", fmt.Sprintf(format, args...))
}

func (l pebbleLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = cause
		}
	}
	l.s.fail(err)
	panic(storeFailure{err})
}

// numbered returns tag and n, with room for rest more bytes.
func numbered(tag byte, n uint32, rest int) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 5+rest), tag), n)
}

// after returns the least key behind all that begin with prefix, which must
// not be all 0xFF.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}
