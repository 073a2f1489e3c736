package storage

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
)

// MaxDocument is the largest size of a document in bytes.
// https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size
const MaxDocument = 16 << 20

// ErrDropped is returned by a call on a collection that was dropped meanwhile;
// the caller looks the name up again.
var ErrDropped = errors.New("the collection was dropped")

var timeZero time.Time

// Collection is a collection of documents, each found by the key of its _id.
type Collection struct {
	NS      string   // "database.collection"
	Options bson.Raw // as given at its creation

	store *Store
	id    uint32
	write sync.Mutex // held by the one statement that may write
	// publish couples the state with what is visible in the store: held while
	// a changed state is applied, and while a View takes both.
	publish sync.RWMutex
	state   atomic.Pointer[state]
}

// state is what a statement needs to know of a collection besides its
// documents. It is replaced as a whole.
type state struct {
	indexes []*Index // _id_ first
	dropped bool
}

// Reader reads one collection from a snapshot or, within a statement that
// writes, from the store itself, which holds still under the write lock.
type Reader struct {
	c  *Collection
	st *state
	r  pebble.Reader
}

// Indexes returns the collection's indexes, _id_ first.
func (r *Reader) Indexes() []*Index { return r.st.indexes }

// Find returns the document whose _id has the key, nil if there is none.
func (r *Reader) Find(key []byte) (bson.Raw, error) { return get(r.r, r.c.documentKey(key)) }

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
	return append(numbered(tagDocument, c.id, len(key)), key...)
}

// Indexes returns the collection's indexes, _id_ first.
func (c *Collection) Indexes() []*Index { return c.state.Load().indexes }

// Find returns the document whose _id has the key, nil if there is none.
func (c *Collection) Find(key []byte) (bson.Raw, error) {
	return get(c.store.db, c.documentKey(key))
}

// View is the collection at one instant. It must be closed.
type View struct {
	Reader
	snapshot *pebble.Snapshot
}

// View returns the collection as it is now; what is written later does not
// show in it. It returns ErrDropped if the collection was dropped.
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

// Tx is a statement that writes. It reads the collection as it was when the
// statement began, but meets its own keys in unique indexes.
type Tx struct {
	Reader
	c        *Collection
	st       *state
	batch    *pebble.Batch
	multikey []*Index // found to have become multikey
}

// Write runs fn with the collection's write lock held and applies what it
// wrote in one batch, or nothing if fn fails. What it wrote is visible when
// Write returns, and on disk after the next Store.Sync.
func (c *Collection) Write(fn func(*Tx) error) error {
	if err := c.store.writable(); err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	st := c.state.Load()
	if st.dropped {
		return ErrDropped
	}
	tx := &Tx{Reader: Reader{c, st, c.store.db}, c: c, st: st, batch: c.store.db.NewIndexedBatch()}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.batch.Close())
	}
	if tx.Empty() {
		return tx.batch.Close()
	}
	if len(tx.multikey) == 0 {
		return c.store.apply(tx.batch)
	}
	return tx.commitState(&state{indexes: slices.Clone(st.indexes)})
}

// Empty tells whether the statement has written nothing.
func (tx *Tx) Empty() bool { return tx.batch.Empty() }

// commitState applies the batch together with the collection's new state, in
// which the indexes found multikey are marked.
func (tx *Tx) commitState(next *state) error {
	for i, ix := range next.indexes {
		if slices.Contains(tx.multikey, ix) {
			marked := *ix
			marked.Multikey = true
			next.indexes[i] = &marked
		}
	}
	if err := tx.c.store.putCatalog(tx.batch, tx.c, next); err != nil {
		return err
	}
	tx.c.publish.Lock()
	defer tx.c.publish.Unlock()
	if err := tx.c.store.apply(tx.batch); err != nil {
		return err
	}
	tx.c.state.Store(next)
	return nil
}

// Insert adds a document, whose first field is its _id. It returns
// DuplicateKey if its _id or a key of a unique index is taken.
func (tx *Tx) Insert(doc bson.D) error {
	raw, err := encode(doc)
	if err != nil {
		return err
	}
	key, err := AppendKey(nil, doc[0].Value)
	if err != nil {
		return err
	}
	if err := tx.free(tx.st.indexes[0], tx.c.documentKey(key), []any{doc[0].Value}); err != nil {
		return err
	}
	return tx.put(key, nil, doc, raw)
}

// Replace puts doc in the place of old, the document at key with the same _id.
// It returns doc and whether it differs from old by a byte.
func (tx *Tx) Replace(key []byte, old, doc bson.D) (bson.D, bool, error) {
	raw, err := encode(doc)
	if err != nil {
		return nil, false, err
	}
	before, err := codec.Marshal(old)
	if err != nil || bytes.Equal(before, raw) {
		return doc, false, err
	}
	return doc, true, tx.put(key, old, doc, raw)
}

func encode(doc bson.D) ([]byte, error) {
	raw, err := codec.Marshal(doc)
	if err != nil {
		return nil, mongoerr.New(mongoerr.BadValue, "%s", err)
	}
	if len(raw) > MaxDocument {
		return nil, mongoerr.New(mongoerr.BSONObjectTooLarge, "BSONObj size: %d (0x%X) is invalid. Size must be between 0 and %d(16MB)", len(raw), len(raw), MaxDocument)
	}
	return raw, nil
}

func (tx *Tx) put(key []byte, old, doc bson.D, raw []byte) error {
	moves, err := tx.moves(tx.st.indexes[1:], key, old, doc)
	if err != nil {
		return err
	}
	if err := moves.write(tx); err != nil {
		return err
	}
	return tx.batch.Set(tx.c.documentKey(key), raw, nil)
}

// Delete removes the document at key.
func (tx *Tx) Delete(key []byte, old bson.D) error {
	moves, err := tx.moves(tx.st.indexes[1:], key, old, nil)
	if err != nil {
		return err
	}
	if err := moves.write(tx); err != nil {
		return err
	}
	return tx.batch.Delete(tx.c.documentKey(key), nil)
}

// free returns DuplicateKey if the place at of a unique index is taken.
func (tx *Tx) free(ix *Index, at []byte, values []any) error {
	_, closer, err := tx.batch.Get(at)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return cmp.Or(closer.Close(), ix.duplicate(tx.c.NS, values))
}

// moves is what a change of the document at key does to indexes.
type moves struct {
	key        []byte
	gone, come [][]byte
	multikey   []*Index
}

// moves returns how the entries of old give way to those of doc; either may be
// nil. It checks unique indexes and writes nothing, so that a document that is
// refused leaves no trace in a batch that goes on.
func (tx *Tx) moves(indexes []*Index, key []byte, old, doc bson.D) (m moves, err error) {
	m.key = key
	for _, ix := range indexes {
		if old != nil && doc != nil && ix.keeps(old, doc) {
			continue
		}
		var gone, come []entry
		var multikey bool
		if old != nil {
			if gone, _, err = ix.entries(old); err != nil {
				return m, err
			}
		}
		if doc != nil {
			if come, multikey, err = ix.entries(doc); err != nil {
				return m, err
			}
		}
		if multikey && !ix.Multikey {
			m.multikey = append(m.multikey, ix)
		}
		for _, e := range gone {
			if !contains(come, e) {
				m.gone = append(m.gone, ix.entryKey(e, key))
			}
		}
		for _, e := range come {
			if contains(gone, e) {
				continue
			}
			at := ix.entryKey(e, key)
			if ix.Unique {
				if err := tx.free(ix, at, e.values); err != nil {
					return m, err
				}
			}
			m.come = append(m.come, at)
		}
	}
	return m, nil
}

func contains(list []entry, e entry) bool {
	return slices.ContainsFunc(list, func(o entry) bool { return bytes.Equal(o.key, e.key) })
}

func (m moves) write(tx *Tx) error {
	for _, at := range m.gone {
		if err := tx.batch.Delete(at, nil); err != nil {
			return err
		}
	}
	for _, at := range m.come {
		if err := tx.batch.Set(at, m.key, nil); err != nil {
			return err
		}
	}
	for _, ix := range m.multikey {
		if !slices.Contains(tx.multikey, ix) {
			tx.multikey = append(tx.multikey, ix)
		}
	}
	return nil
}

// entryKey returns where an entry of the document at key stands in the store:
// in a unique index there is room for one document at each key.
func (ix *Index) entryKey(e entry, key []byte) []byte {
	at := append(numbered(tagIndex, ix.ID, len(e.key)+len(key)), e.key...)
	if !ix.Unique {
		at = append(at, key...)
	}
	return at
}

// fill puts every document of the collection into new indexes.
func (tx *Tx) fill(added []*Index, check func() error) error {
	tx.Reader = Reader{tx.c, tx.st, tx.c.store.db}
	scan := tx.Scan(tx.st.indexes[0], []Range{{}}, false)
	defer scan.Close()
	for scan.Next() {
		if scan.DocsExamined%256 == 0 {
			if err := check(); err != nil {
				return err
			}
		}
		doc, err := codec.Unmarshal(scan.Raw())
		if err != nil {
			return err
		}
		moves, err := tx.moves(added, scan.Key(), nil, doc)
		if err != nil {
			return err
		}
		if err := moves.write(tx); err != nil {
			return err
		}
	}
	return scan.Err()
}

// Size returns about how many bytes the documents take on disk.
func (c *Collection) Size() (int64, error) {
	prefix := numbered(tagDocument, c.id, 0)
	n, err := c.store.db.EstimateDiskUsage(prefix, after(prefix))
	return int64(n), err
}
