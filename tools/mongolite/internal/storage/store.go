// Package storage stores collections of BSON documents and their indexes in a
// Pebble key-value store.
//
// # Atomicity and durability
//
// A statement writes all of its changes in one Pebble batch: documents, index
// entries, and the result that a retry of the statement receives. A crash
// therefore leaves all of the changes or none of them, and a start needs no
// repair.
//
// The statements of a collection run one after another, under the collection's
// write lock. They do not wait for the disk. Instead, the server calls
// Store.Sync once before it acknowledges a command. Pebble writes the batches
// to its log in order, and one flush serves all callers that wait for it (group
// commit), so concurrent writers share the cost.
//
// # Layout
//
// All integers are big-endian.
//
//	key                                  value
//	c <namespace>                        the collection and its indexes, BSON
//	n                                    the next free ID, uint32
//	d <collection ID> <key of _id>       the document, BSON
//	i <index ID> <keys> [<key of _id>]   the key of _id
//	t <session> <statement>              the result of a retryable write, BSON
//
// The key of an entry in a unique index does not contain the key of _id.
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
	tagNextID   = 'n'
	tagDocument = 'd'
	tagIndex    = 'i'
	tagResult   = 't'
)

// Options configures a Store.
type Options struct {
	// Dir is the data directory.
	Dir string
	// CacheBytes is the size of the block cache. Zero means 256 MiB.
	CacheBytes int64
	// MemTableBytes is the size at which an in-memory table is written to disk.
	// Zero means 64 MiB.
	MemTableBytes uint64
	// MinFreeBytes is the free disk space that writes require. If less is free,
	// writes fail with OutOfDiskSpace. The reserve ensures that writes already
	// accepted can still be flushed. Zero means 64 MiB.
	MinFreeBytes uint64
	// FS is the file system. Nil means that of the operating system.
	FS vfs.FS
	// Log receives Pebble's errors. Nil discards them.
	Log *slog.Logger
}

// Store is an open data directory. Its methods may be called concurrently.
type Store struct {
	db      *pebble.DB
	disk    *disk
	dir     string
	minFree uint64

	// spaceCheckedUntil is the time, in Unix milliseconds, until which the last
	// check of the free disk space remains valid.
	spaceCheckedUntil atomic.Int64
	failure           atomic.Pointer[error]
	progress          progress // of the batches of apply

	failed chan struct{} // closed by the first failure

	mu     sync.RWMutex // guards colls and nextID
	colls  map[string]*Collection
	nextID uint32
}

// ErrLocked is returned by Open if the data directory is already open.
var ErrLocked = errors.New("the data directory is in use by another process")

// Open opens the data directory and loads the catalog. It creates the directory
// if it does not exist. Open returns ErrLocked if the directory is already open.
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
	s := &Store{dir: o.Dir, minFree: o.MinFreeBytes, colls: map[string]*Collection{}, nextID: 1, failed: make(chan struct{})}
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
		Logger:                      pebbleLogger{s, o.Log},
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

// isLocked reports whether err, the error of pebble.Open, means that the
// directory is locked. If another process holds the lock, err is the plain error of
// fcntl, without a path. If this process holds it, only the error text says so.
func isLocked(err error) bool {
	var path *fs.PathError
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES)
	return held && !errors.As(err, &path) || err != nil && strings.Contains(err.Error(), "lock held by current process")
}

// Close closes the data directory. It must not run concurrently with other
// methods.
func (s *Store) Close() error { return s.db.Close() }

// Sync waits until all writes that were visible before the call are durable. It does not
// use the disk if they are durable already.
func (s *Store) Sync() (err error) {
	defer s.recoverFailure(&err)
	if s.progress.isDurable() {
		return nil
	}
	covered := s.progress.startFlush()
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return err
	}
	if err := s.Err(); err != nil { // Pebble reports success after a failure; see the type disk
		return diskError(err)
	}
	s.progress.flushed(covered)
	return nil
}

// Failed returns a channel that is closed when the store becomes unable to
// write, for example after a disk error. Err then returns the reason. Writes
// acknowledged before the failure are not lost.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns the error that made the store unable to write, or nil if it can
// write.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// checkWritable returns an error if the store has failed or the disk is nearly
// full.
func (s *Store) checkWritable() error {
	if err := s.Err(); err != nil {
		return diskError(err)
	}
	if err := s.disk.tableError(); err != nil {
		return diskError(err)
	}
	now := time.Now().UnixMilli()
	if now < s.spaceCheckedUntil.Load() {
		return nil
	}
	usage, err := s.disk.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < s.minFree {
		return mongoerr.New(mongoerr.OutOfDiskSpace,
			"only %d MiB are free on the disk of the data directory; writes need %d MiB", usage.AvailBytes>>20, s.minFree>>20)
	}
	s.spaceCheckedUntil.Store(now + 100)
	return nil
}

// largeBatch is the size in bytes above which apply compares a batch with the
// free disk space. Smaller batches rely on the reserve of minFree bytes.
const largeBatch = 1 << 20

// apply makes the batch visible and queues it for Pebble's log. It returns
// OutOfDiskSpace for a large batch that does not fit on the disk, because
// writing that batch would make the store fail.
func (s *Store) apply(b *pebble.Batch) (err error) {
	defer s.recoverFailure(&err)
	if n := uint64(b.Len()); n > largeBatch {
		usage, err := s.disk.GetDiskUsage(s.dir)
		if err == nil && usage.AvailBytes < s.minFree+n {
			return mongoerr.New(mongoerr.OutOfDiskSpace, "the statement writes %d MiB but only %d MiB are free on the disk of the data directory", n>>20, usage.AvailBytes>>20)
		}
	}
	s.progress.begin()
	defer s.progress.end()
	return s.db.Apply(b, pebble.NoSync)
}

// storeFailure is the value with which pebbleLogger.Fatalf panics. Pebble
// expects Fatalf not to return; if it did, Pebble would continue as if a failed
// write had succeeded.
type storeFailure struct{ err error }

// fail records the first failure of the store.
func (s *Store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		close(s.failed)
	}
}

// recoverFailure turns a panic of Pebble into an error. It must be deferred.
func (s *Store) recoverFailure(err *error) {
	switch r := recover().(type) {
	case nil:
	case storeFailure:
		*err = diskError(r.err)
	case error: // Pebble panics with the error of a failed write to its log
		s.fail(r)
		*err = diskError(r)
	default:
		panic(r)
	}
}

// diskError returns err as a protocol error for the client.
func diskError(err error) error {
	code := mongoerr.InternalError
	if errors.Is(err, syscall.ENOSPC) {
		code = mongoerr.OutOfDiskSpace
	}
	return mongoerr.New(code, "the store cannot write: %v", err)
}

// pebbleLogger forwards Pebble's errors to log and discards its informational
// messages.
type pebbleLogger struct {
	s   *Store
	log *slog.Logger
}

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble reported an error", "error", fmt.Sprintf(format, args...))
}

// Fatalf marks the store as failed and panics with a storeFailure.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = cause
		}
	}
	l.s.fail(err)
	panic(storeFailure{err})
}

// keyPrefix returns the prefix of all keys with the given tag and ID. The caller
// can append extra bytes to the slice without reallocation.
func keyPrefix(tag byte, id uint32, extra int) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 5+extra), tag), id)
}

// prefixEnd returns the least key that is greater than all keys with the given
// prefix. The prefix must contain a byte other than 0xFF.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}
