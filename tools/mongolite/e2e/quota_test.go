package e2e_test

import (
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// quotaFS is an in-memory file system with limited space. It can report a false
// amount of free space, and it can refuse chosen operations with ENOSPC as a full
// disk does.
type quotaFS struct {
	vfs.FS

	mu       sync.Mutex
	free     int64
	reported uint64                     // the free space to report; 0 means the real one
	fault    func(op, name string) bool // reports whether to refuse an operation; may be nil
	refusals int                        // number of refused operations
}

// newQuotaFS returns an empty file system with room for free bytes.
func newQuotaFS(free int64) *quotaFS { return &quotaFS{FS: vfs.NewMem(), free: free} }

// set calls change with the lock held.
func (q *quotaFS) set(change func(q *quotaFS)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(q)
}

// refused returns the number of operations that were refused so far.
func (q *quotaFS) refused() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusals
}

// reserve takes n bytes of the free space for an operation on a file. It returns
// ENOSPC if there is not enough space or if the fault refuses the operation. It
// then also returns the number of bytes to write before the failure, because a
// full disk accepts a part of a write.
func (q *quotaFS) reserve(op, name string, n int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != nil && q.fault(op, name) {
		q.refusals++
		return n / 2, syscall.ENOSPC
	}
	if int64(n) > q.free {
		q.refusals++
		n = int(q.free)
		q.free = 0
		return n, syscall.ENOSPC
	}
	q.free -= int64(n)
	return n, nil
}

// GetDiskUsage implements vfs.FS.
func (q *quotaFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reported > 0 {
		return vfs.DiskUsage{AvailBytes: q.reported, TotalBytes: q.reported}, nil
	}
	return vfs.DiskUsage{AvailBytes: uint64(q.free), TotalBytes: 1 << 40}, nil
}

// open opens a file for writing, unless the fault refuses to create it.
func (q *quotaFS) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if _, err := q.reserve("create", name, 0); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &quotaFile{File: f, q: q, name: name}, nil
}

// Create implements vfs.FS.
func (q *quotaFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (q *quotaFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS.
func (q *quotaFS) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.ReuseForWrite(from, name, c) })
}

// OpenDir implements vfs.FS. The directory's name ends with a slash, so that a
// fault can match it.
func (q *quotaFS) OpenDir(name string) (vfs.File, error) {
	f, err := q.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &quotaFile{File: f, q: q, name: name + "/"}, nil
}

// Remove implements vfs.FS. It returns the file's space to the free space.
func (q *quotaFS) Remove(name string) error {
	info, err := q.Stat(name)
	if err != nil {
		return err
	}
	if err := q.FS.Remove(name); err != nil {
		return err
	}
	q.set(func(q *quotaFS) { q.free += info.Size() })
	return nil
}

// contents returns the contents of the files in dir by name.
func (q *quotaFS) contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := q.List(dir)
	must(t, err)
	files := map[string]string{}
	for _, name := range names {
		f, err := q.Open(q.PathJoin(dir, name))
		must(t, err)
		b, err := io.ReadAll(f)
		must(t, err)
		must(t, f.Close())
		files[name] = string(b)
	}
	return files
}

// quotaFile is a file or directory of a quotaFS.
type quotaFile struct {
	vfs.File
	q    *quotaFS
	name string
}

// Write implements vfs.File.
func (f *quotaFile) Write(p []byte) (int, error) {
	n, full := f.q.reserve("write", f.name, len(p))
	n, err := f.File.Write(p[:n])
	if err == nil {
		err = full
	}
	return n, err
}

// sync calls do, which syncs the file, unless the fault refuses the operation.
func (f *quotaFile) sync(do func() error) error {
	if _, err := f.q.reserve("sync", f.name, 0); err != nil {
		return err
	}
	return do()
}

// Sync implements vfs.File.
func (f *quotaFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *quotaFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *quotaFile) SyncTo(n int64) (full bool, err error) {
	err = f.sync(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// failOn returns a fault that refuses the operation op on files whose name
// contains part.
func failOn(op, part string) func(string, string) bool {
	return func(o, name string) bool { return o == op && strings.Contains(name, part) }
}

// failOnce returns a fault that refuses the same operations as fault, but only the
// first time.
func failOnce(fault func(string, string) bool) func(string, string) bool {
	done := false
	return func(op, name string) bool {
		if done || !fault(op, name) {
			return false
		}
		done = true
		return true
	}
}
