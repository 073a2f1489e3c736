package e2e_test

import (
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// quotaFS is a file system on a small disk. It can also lie about how much is
// free, and refuse single operations as a full disk does.
type quotaFS struct {
	vfs.FS

	mu    sync.Mutex
	free  int64
	claim uint64                     // what it says is free; 0 tells the truth
	fault func(op, name string) bool // an operation that it refuses
	hits  int                        // operations refused
}

func newQuotaFS(free int64) *quotaFS { return &quotaFS{FS: vfs.NewMem(), free: free} }

func (q *quotaFS) set(change func(q *quotaFS)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(q)
}

func (q *quotaFS) refused() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hits
}

// allow refuses the operation or returns how many of n bytes fit.
func (q *quotaFS) allow(op, name string, n int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != nil && q.fault(op, name) {
		q.hits++
		return n / 2, syscall.ENOSPC
	}
	if int64(n) > q.free {
		q.hits++
		n = int(q.free)
		q.free = 0
		return n, syscall.ENOSPC
	}
	q.free -= int64(n)
	return n, nil
}

func (q *quotaFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.claim > 0 {
		return vfs.DiskUsage{AvailBytes: q.claim, TotalBytes: q.claim}, nil
	}
	return vfs.DiskUsage{AvailBytes: uint64(q.free), TotalBytes: 1 << 40}, nil
}

func (q *quotaFS) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if _, err := q.allow("create", name, 0); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &quotaFile{File: f, q: q, name: name}, nil
}

func (q *quotaFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.Create(name, c) })
}

func (q *quotaFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.OpenReadWrite(name, c, o...) })
}

func (q *quotaFS) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return q.open(name, func() (vfs.File, error) { return q.FS.ReuseForWrite(from, name, c) })
}

func (q *quotaFS) OpenDir(name string) (vfs.File, error) {
	f, err := q.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &quotaFile{File: f, q: q, name: name + "/"}, nil
}

func (q *quotaFS) Remove(name string) error {
	info, err := q.FS.Stat(name)
	if err != nil {
		return err
	}
	if err := q.FS.Remove(name); err != nil {
		return err
	}
	q.set(func(q *quotaFS) { q.free += info.Size() })
	return nil
}

// contents returns the files of a folder.
func (q *quotaFS) contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := q.List(dir)
	must(t, err)
	files := map[string]string{}
	for _, name := range names {
		f, err := q.FS.Open(q.PathJoin(dir, name))
		must(t, err)
		b, err := io.ReadAll(f)
		must(t, err)
		must(t, f.Close())
		files[name] = string(b)
	}
	return files
}

type quotaFile struct {
	vfs.File
	q    *quotaFS
	name string
}

func (f *quotaFile) Write(p []byte) (int, error) {
	n, full := f.q.allow("write", f.name, len(p))
	n, err := f.File.Write(p[:n])
	if err == nil {
		err = full
	}
	return n, err
}

func (f *quotaFile) synced(sync func() error) error {
	if _, err := f.q.allow("sync", f.name, 0); err != nil {
		return err
	}
	return sync()
}

func (f *quotaFile) Sync() error     { return f.synced(f.File.Sync) }
func (f *quotaFile) SyncData() error { return f.synced(f.File.SyncData) }

func (f *quotaFile) SyncTo(n int64) (full bool, err error) {
	err = f.synced(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// on returns a fault of one operation on the files whose name has a part.
func on(op, part string) func(string, string) bool {
	return func(o, name string) bool { return o == op && strings.Contains(name, part) }
}

// once returns a fault that strikes the first time only.
func once(fault func(string, string) bool) func(string, string) bool {
	struck := false
	return func(op, name string) bool {
		if struck || !fault(op, name) {
			return false
		}
		struck = true
		return true
	}
}
