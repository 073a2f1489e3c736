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

// disk is the file system as Pebble sees it, which never hears that its log or
// its manifest could not be written: Pebble ends the process then, or leaves
// its locks held for good. Instead such a failure freezes the folder, like a
// power cut at that moment: the store fails, nothing is acknowledged any more,
// and what Pebble goes on to write stays in memory. So it can be read and
// closed in good order, and the next start finds what a crash would have left.
//
// A table that could not be written is no failure: Pebble keeps what was to be
// in it and tries again. Writes are refused meanwhile, for it must not pile up.
type disk struct {
	vfs.FS
	fail func(error)
	// err returns what froze the folder. Until the store is open it is not
	// asked, and errors are Pebble's to return.
	err    func() error
	opened atomic.Bool
	behind *vfs.MemFS // what was written behind the failure

	full atomic.Pointer[tableFailure] // the latest
}

type tableFailure struct {
	err error
	at  time.Time
}

// tableRetry is how long a table that could not be written keeps Pebble from
// the next try and, after the last failure, ten times that, writers out.
const tableRetry = 100 * time.Millisecond

func newDisk(real vfs.FS, s *Store) *disk {
	return &disk{FS: real, fail: s.fail, err: s.Err, behind: vfs.NewMem()}
}

// writesTables returns why tables cannot be written at the moment, nil if they
// can.
func (d *disk) writesTables() error {
	if f := d.full.Load(); f != nil && time.Since(f.at) < 10*tableRetry {
		return f.err
	}
	return nil
}

func (d *disk) frozen() bool { return d.opened.Load() && d.err() != nil }

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// failed judges an error of an operation on a file, and returns what Pebble is
// to hear of it.
func (d *disk) failed(name string, err error) error {
	switch {
	case err == nil || !d.opened.Load():
		return err
	case isTable(name):
		d.full.Store(&tableFailure{err, time.Now()})
		time.Sleep(tableRetry) // Pebble would try again at once
		return err
	}
	d.fail(err)
	return nil
}

// open opens a file to write, in memory once the folder is frozen.
func (d *disk) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !d.frozen() {
		f, err := open()
		if err == nil {
			return &diskFile{f, d, name}, nil
		}
		if err := d.failed(name, err); err != nil {
			return nil, err
		}
	}
	if err := d.behind.MkdirAll(path.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return d.behind.Create(name, vfs.WriteCategoryUnspecified)
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, o...) })
}

func (d *disk) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, name, c) })
}

// Open opens a file to read.
func (d *disk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if d.frozen() {
		if f, err := d.behind.Open(name, o...); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return d.FS.Open(name, o...)
}

func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.frozen() {
		if info, err := d.behind.Stat(name); !errors.Is(err, fs.ErrNotExist) {
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
	if d.frozen() {
		_ = d.behind.Remove(name) // most are not there but in the folder, where they stay
		return nil
	}
	return d.FS.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if d.frozen() {
		return d.behind.RemoveAll(name)
	}
	return d.FS.RemoveAll(name)
}

func (d *disk) Rename(from, to string) error {
	if d.frozen() {
		return d.behind.Rename(from, to)
	}
	return d.FS.Rename(from, to)
}

func (d *disk) Link(from, to string) error {
	if d.frozen() {
		return d.behind.Link(from, to)
	}
	return d.FS.Link(from, to)
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file or folder of the real file system.
type diskFile struct {
	vfs.File
	d    *disk
	name string
}

// do carries out an operation that writes, unless the folder is frozen. A
// table that was begun before is lost then, and written anew.
func (f *diskFile) do(op func() error) error {
	if !f.d.frozen() {
		return f.d.failed(f.name, op())
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

// Preallocate only prepares; where it fails the writes will tell.
func (f *diskFile) Preallocate(offset, length int64) error {
	if f.d.frozen() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

func (f *diskFile) Close() error {
	err := f.File.Close()
	if f.d.frozen() {
		return nil
	}
	return err
}
