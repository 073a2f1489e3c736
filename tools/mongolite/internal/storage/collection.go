package storage

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"
)

// MaxDocument is the maximum size of a document in bytes.
// https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size
const MaxDocument = 16 << 20

// ErrDropped is returned by methods of a collection that has been dropped. The
// caller should look up the collection by name again.
var ErrDropped = errors.New("the collection was dropped")

// Collection is a collection of documents. Each document is stored under the
// key of its _id.
type Collection struct {
	NS      string   // "database.collection"
	Options bson.Raw // the options that the collection was created with

	store *Store
	id    uint32
	write sync.Mutex // held by the statement that writes
	// publish keeps state consistent with the data in the store. A writer holds
	// it while it changes both; View holds it for reading while it takes the
	// state and a snapshot.
	publish sync.RWMutex
	state   atomic.Pointer[state]
}

// state describes a collection, except for its documents. A state is immutable;
// a change replaces it as a whole.
type state struct {
	indexes []*Index // the index of _id is the first
	dropped bool
}

// Reader reads one collection. The Reader of a View reads from a snapshot. The
// Reader of a Tx reads from the store itself, in which the collection does not
// change while the Tx holds the write lock.
type Reader struct {
	c  *Collection
	st *state
	r  pebble.Reader
}

// Indexes returns the indexes of the collection. The index of _id is the first.
func (r *Reader) Indexes() []*Index { return r.st.indexes }

// Find returns the document whose _id has the given key, or nil if there is
// none.
func (r *Reader) Find(key []byte) (bson.Raw, error) { return get(r.r, r.c.documentKey(key)) }

// get returns a copy of the value at key, or nil if there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(value), closer.Close()
}

func (c *Collection) documentKey(key []byte) []byte {
	return append(keyPrefix(tagDocument, c.id, len(key)), key...)
}

// Indexes returns the indexes of the collection. The index of _id is the first.
func (c *Collection) Indexes() []*Index { return c.state.Load().indexes }

// Find returns the document whose _id has the given key, or nil if there is
// none.
func (c *Collection) Find(key []byte) (bson.Raw, error) {
	return get(c.store.db, c.documentKey(key))
}

// View is a consistent view of a collection at one point in time. It must be
// closed.
type View struct {
	Reader
	snapshot *pebble.Snapshot
}

// View returns a view of the current contents of the collection. Later writes
// do not appear in it. View returns ErrDropped if the collection was dropped.
func (c *Collection) View() (*View, error) {
	c.publish.RLock()
	defer c.publish.RUnlock()
	st := c.state.Load()
	if st.dropped {
		return nil, ErrDropped
	}
	snapshot := c.store.db.NewSnapshot()
	return &View{Reader{c, st, snapshot}, snapshot}, nil
}

// Close releases the snapshot.
func (v *View) Close() error { return v.snapshot.Close() }

// Size returns an estimate of the bytes that the documents occupy on disk.
func (c *Collection) Size() (int64, error) {
	prefix := keyPrefix(tagDocument, c.id, 0)
	n, err := c.store.db.EstimateDiskUsage(prefix, prefixEnd(prefix))
	return int64(n), err
}
