package storage

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that Pebble uses. It hides failed writes to Pebble's
// log and manifest, because Pebble would respond by ending the process or by
// keeping its locks held forever.
//
// Instead, the first such failure freezes the data directory, as if the power had
// failed at that moment. The store fails and acknowledges no more writes.
// Anything that Pebble writes from then on goes to a file system in memory.
// The store can therefore still be read and closed, and the next start finds
// the directory in the state that a crash would have left.
//
// A failure to write a table does not freeze the directory. Pebble keeps the data
// in memory and retries. The store rejects writes in the meantime, so that the
// data in memory does not grow without limit.
type disk struct {
	vfs.FS
	fail func(error)
	// err returns the error that froze the directory. It is not called until the
	// store is open; before that, Pebble receives all errors itself.
	err     func() error
	opened  atomic.Bool
	overlay *vfs.MemFS // holds everything written after the directory froze

	lastTableFailure atomic.Pointer[tableFailure]
}

// tableFailure records a failure to write a table.
type tableFailure struct {
	err error
	at  time.Time
}

// tableRetryDelay is how long Pebble must wait after a failure to write a table
// before it retries. The store rejects writes for ten times as long after the
// last failure.
const tableRetryDelay = 100 * time.Millisecond

// newDisk returns a disk that wraps the file system real and reports failures to s.
func newDisk(real vfs.FS, s *Store) *disk {
	return &disk{FS: real, fail: s.fail, err: s.Err, overlay: vfs.NewMem()}
}

// tableError returns the error of a recent failure to write a table, or nil if
// there was none.
func (d *disk) tableError() error {
	if f := d.lastTableFailure.Load(); f != nil && time.Since(f.at) < 10*tableRetryDelay {
		return f.err
	}
	return nil
}

func (d *disk) isFrozen() bool { return d.opened.Load() && d.err() != nil }

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// handleError processes the error of an operation on the named file, and returns
// the error that Pebble receives.
func (d *disk) handleError(name string, err error) error {
	switch {
	case err == nil || !d.opened.Load():
		return err
	case isTable(name):
		d.lastTableFailure.Store(&tableFailure{err, time.Now()})
		time.Sleep(tableRetryDelay) //nolint:forbidigo // Pebble itself retries without a delay
		return err
	}
	d.fail(err)
	return nil
}

// openForWrite opens a file with open. Once the directory is frozen, it creates
// the file in memory instead.
func (d *disk) openForWrite(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !d.isFrozen() {
		f, err := open()
		if err == nil {
			return &diskFile{f, d, name}, nil
		}
		if err := d.handleError(name, err); err != nil {
			return nil, err
		}
	}
	if err := d.overlay.MkdirAll(path.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return d.overlay.Create(name, vfs.WriteCategoryUnspecified)
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.openForWrite(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.openForWrite(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, o...) })
}

func (d *disk) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.openForWrite(name, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, name, c) })
}

// Open opens a file for reading.
func (d *disk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if d.isFrozen() {
		if f, err := d.overlay.Open(name, o...); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return d.FS.Open(name, o...)
}

func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.isFrozen() {
		if info, err := d.overlay.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return info, err
		}
	}
	return d.FS.Stat(name)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

func (d *disk) Remove(name string) error {
	if d.isFrozen() {
		// Most files exist only in the frozen directory, where they stay.
		_ = d.overlay.Remove(name)
		return nil
	}
	return d.FS.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if d.isFrozen() {
		return d.overlay.RemoveAll(name)
	}
	return d.FS.RemoveAll(name)
}

func (d *disk) Rename(from, to string) error {
	if d.isFrozen() {
		return d.overlay.Rename(from, to)
	}
	return d.FS.Rename(from, to)
}

func (d *disk) Link(from, to string) error {
	if d.isFrozen() {
		return d.overlay.Link(from, to)
	}
	return d.FS.Link(from, to)
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file or directory of the real file system.
type diskFile struct {
	vfs.File
	d    *disk
	name string
}

// do runs an operation that writes to the file. Once the directory is frozen, it
// skips the operation and reports success, except for a table: Pebble then
// receives an error and writes the table again, in memory.
func (f *diskFile) do(op func() error) error {
	if !f.d.isFrozen() {
		return f.d.handleError(f.name, op())
	}
	if isTable(f.name) {
		return f.d.err()
	}
	return nil
}

func (f *diskFile) Write(p []byte) (int, error) {
	n := len(p)
	err := f.do(func() (err error) { n, err = f.File.Write(p); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	n := len(p)
	err := f.do(func() (err error) { n, err = f.File.WriteAt(p, at); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *diskFile) Sync() error     { return f.do(f.File.Sync) }
func (f *diskFile) SyncData() error { return f.do(f.File.SyncData) }

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.do(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Preallocate is only an optimization. Its errors do not freeze the directory,
// because a write that lacks space reports an error anyway.
func (f *diskFile) Preallocate(offset, length int64) error {
	if f.d.isFrozen() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

func (f *diskFile) Close() error {
	err := f.File.Close()
	if f.d.isFrozen() {
		return nil
	}
	return err
}
