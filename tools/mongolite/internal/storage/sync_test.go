package storage_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/storage"
)

// countingFS counts the flushes of Pebble's logs.
type countingFS struct {
	vfs.FS
	flushes atomic.Int64
}

func (fs *countingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasSuffix(name, ".log") {
		f = countingFile{f, &fs.flushes}
	}
	return f, err
}

type countingFile struct {
	vfs.File
	flushes *atomic.Int64
}

func (f countingFile) Sync() error     { f.flushes.Add(1); return f.File.Sync() }
func (f countingFile) SyncData() error { f.flushes.Add(1); return f.File.SyncData() }
func (f countingFile) SyncTo(length int64) (bool, error) {
	f.flushes.Add(1)
	return f.File.SyncTo(length)
}

// counter is a document with a number, in a collection of its own.
type counter struct {
	t    *testing.T
	coll *storage.Collection
	key  []byte
}

// newCounter returns the counter in a collection, which it creates if needed.
func newCounter(t *testing.T, s *storage.Store, ns string) counter {
	t.Helper()
	c, _, err := s.Create(ns, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := storage.AppendKey(nil, int32(1))
	if err != nil {
		t.Fatal(err)
	}
	return counter{t, c, key}
}

func (c counter) document(n int64) bson.D {
	return bson.D{{Key: "_id", Value: int32(1)}, {Key: "n", Value: n}}
}

// set replaces the number from, or inserts the document if from is zero.
func (c counter) set(from, to int64) {
	err := c.coll.Write(func(tx *storage.Tx) error {
		if from == 0 {
			return tx.Insert(c.document(to))
		}
		_, _, err := tx.Replace(c.key, c.document(from), c.document(to))
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// read returns the number, or zero if there is no document.
func (c counter) read() int64 {
	raw, err := c.coll.Find(c.key)
	if err != nil {
		c.t.Error(err)
	}
	n, _ := raw.Lookup("n").Int64OK()
	return n
}

func open(t *testing.T, fs vfs.FS) *storage.Store {
	t.Helper()
	s, err := storage.Open(storage.Options{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSyncFlushesTheLogOnlyIfSomethingIsNotDurable(t *testing.T) {
	fs := &countingFS{FS: vfs.NewMem()}
	s := open(t, fs)
	c := newCounter(t, s, "d.c")
	flushes := func() int64 {
		before := fs.flushes.Load()
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		return fs.flushes.Load() - before
	}
	flushes() // of the new collection
	for n := range int64(3) {
		c.set(n, n+1)
		if got := flushes(); got == 0 {
			t.Errorf("Sync after write %d: got no flush, want one", n)
		}
		for range 3 {
			if got := flushes(); got != 0 {
				t.Errorf("Sync after another Sync: got %d flushes, want none", got)
			}
		}
	}
}

// TestWhatWasReadBeforeSyncSurvivesPowerCut reads numbers while others change them, and cuts
// the power after Sync: the disk has these numbers or later ones.
func TestWhatWasReadBeforeSyncSurvivesPowerCut(t *testing.T) {
	const writers, cuts = 3, 60
	disk := vfs.NewCrashableMem()
	s := open(t, disk)
	var counters [writers]counter
	for i := range counters {
		counters[i] = newCounter(t, s, fmt.Sprint("d.c", i))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i, c := range counters {
		wg.Go(func() {
			for n := int64(0); !stop.Load(); n++ {
				c.set(n, n+1)
				if n%4 == int64(i) { // others acknowledge no write
					if err := s.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	type cut struct {
		disk *vfs.MemFS
		read [writers]int64
	}
	var all []cut
	for range cuts {
		var k cut
		for i, c := range counters {
			k.read[i] = c.read()
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		k.disk = disk.CrashClone(vfs.CrashCloneCfg{RNG: rand.New(rand.NewPCG(1, 1))})
		all = append(all, k)
	}
	stop.Store(true)
	wg.Wait()
	for at, k := range all {
		s := open(t, k.disk)
		for i, want := range k.read {
			if got := newCounter(t, s, fmt.Sprint("d.c", i)).read(); got < want {
				t.Errorf("cut %d, counter %d: got %d after the cut, want at least %d, which was read before it", at, i, got, want)
			}
		}
	}
}
