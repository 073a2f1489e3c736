package storage

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Tx is a statement that writes. It reads the collection as it was when the
// statement began. Only the checks of unique indexes see its own writes.
type Tx struct {
	Reader
	c      *Collection
	st     *state
	batch  *pebble.Batch
	arrays map[*Index]uint32 // columns of indexes that this statement makes multikey
}

// Write calls fn while it holds the collection's write lock, and then applies
// all writes of fn in one batch. If fn returns an error, Write applies nothing.
// The writes are visible when Write returns, and durable after the next
// Store.Sync. Write returns ErrDropped if the collection was dropped.
func (c *Collection) Write(fn func(*Tx) error) error {
	if err := c.store.checkWritable(); err != nil {
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
	if len(tx.arrays) == 0 {
		return c.store.apply(tx.batch)
	}
	return tx.commitState(&state{indexes: slices.Clone(st.indexes)})
}

// Empty reports whether the statement has written nothing.
func (tx *Tx) Empty() bool { return tx.batch.Empty() }

// commitState applies the batch and sets the collection's state to next, after
// it has marked the columns in tx.arrays as multikey.
func (tx *Tx) commitState(next *state) error {
	for i, ix := range next.indexes {
		next.indexes[i] = ix.withArrays(tx.arrays[ix])
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

// Insert adds a document. The first field of doc must be its _id. Insert
// returns DuplicateKey if another document has the same _id or the same key in
// a unique index.
func (tx *Tx) Insert(doc bson.D) error {
	raw, err := encode(doc)
	if err != nil {
		return err
	}
	key, err := AppendKey(nil, doc[0].Value)
	if err != nil {
		return err
	}
	if err := tx.checkUnique(tx.st.indexes[0], tx.c.documentKey(key), []any{doc[0].Value}); err != nil {
		return err
	}
	return tx.put(key, nil, doc, raw)
}

// Replace replaces old, the document at key, with doc, which must have the same
// _id. It returns doc and reports whether the encoded documents differ.
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

// encode returns the BSON of doc. It returns BSONObjectTooLarge if that exceeds
// MaxDocument.
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

// put writes doc, whose encoding is raw, and its index entries. It removes the
// entries of old, which is nil for an insert.
func (tx *Tx) put(key []byte, old, doc bson.D, raw []byte) error {
	changes, err := tx.indexChanges(tx.st.indexes[1:], key, old, doc)
	if err != nil {
		return err
	}
	if err := changes.write(tx); err != nil {
		return err
	}
	return tx.batch.Set(tx.c.documentKey(key), raw, nil)
}

// Delete deletes old, the document at key.
func (tx *Tx) Delete(key []byte, old bson.D) error {
	changes, err := tx.indexChanges(tx.st.indexes[1:], key, old, nil)
	if err != nil {
		return err
	}
	if err := changes.write(tx); err != nil {
		return err
	}
	return tx.batch.Delete(tx.c.documentKey(key), nil)
}

// checkUnique returns DuplicateKey if the unique index ix already has an entry
// with this store key.
func (tx *Tx) checkUnique(ix *Index, at []byte, values []any) error {
	_, closer, err := tx.batch.Get(at)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return cmp.Or(closer.Close(), ix.duplicateKeyError(tx.c.NS, values))
}

// indexChanges holds the changes to index entries that follow from a change to
// the document at key.
type indexChanges struct {
	key            []byte
	removed, added [][]byte // store keys
	arrays         []indexArrays
}

// indexArrays names the columns of an index that a document makes multikey.
type indexArrays struct {
	ix      *Index
	columns uint32
}

// indexChanges returns the changes that replace the index entries of old with
// those of doc. Either document may be nil.
//
// It checks unique indexes but writes nothing. If it rejects one document, the
// statement can therefore continue with the others in the same batch.
func (tx *Tx) indexChanges(indexes []*Index, key []byte, old, doc bson.D) (ch indexChanges, err error) {
	ch.key = key
	for _, ix := range indexes {
		if old != nil && doc != nil && ix.hasSameEntries(old, doc) {
			continue
		}
		var oldEntries, newEntries []entry
		var arrays uint32
		if old != nil {
			if oldEntries, _, err = ix.entries(old); err != nil {
				return ch, err
			}
		}
		if doc != nil {
			if newEntries, arrays, err = ix.entries(doc); err != nil {
				return ch, err
			}
		}
		if ix.withArrays(arrays) != ix {
			ch.arrays = append(ch.arrays, indexArrays{ix, arrays})
		}
		for _, e := range oldEntries {
			if !contains(newEntries, e) {
				ch.removed = append(ch.removed, ix.entryKey(e, key))
			}
		}
		for _, e := range newEntries {
			if contains(oldEntries, e) {
				continue
			}
			at := ix.entryKey(e, key)
			if ix.Unique {
				if err := tx.checkUnique(ix, at, e.values); err != nil {
					return ch, err
				}
			}
			ch.added = append(ch.added, at)
		}
	}
	return ch, nil
}

func contains(list []entry, e entry) bool {
	return slices.ContainsFunc(list, func(o entry) bool { return bytes.Equal(o.key, e.key) })
}

// write adds the changes to the batch of tx.
func (ch indexChanges) write(tx *Tx) error {
	for _, at := range ch.removed {
		if err := tx.batch.Delete(at, nil); err != nil {
			return err
		}
	}
	for _, at := range ch.added {
		if err := tx.batch.Set(at, ch.key, nil); err != nil {
			return err
		}
	}
	for _, a := range ch.arrays {
		if tx.arrays == nil {
			tx.arrays = map[*Index]uint32{}
		}
		tx.arrays[a.ix] |= a.columns
	}
	return nil
}

// entryKey returns the store key of an entry of the document at key. It ends
// with key, except in a unique index, where each entry key belongs to one
// document.
func (ix *Index) entryKey(e entry, key []byte) []byte {
	at := append(keyPrefix(tagIndex, ix.ID, len(e.key)+len(key)), e.key...)
	if !ix.Unique {
		at = append(at, key...)
	}
	return at
}

// buildIndexes adds the entries of every document in the collection to the new
// indexes. It stops if check returns an error.
func (tx *Tx) buildIndexes(added []*Index, check func() error) error {
	tx.Reader = Reader{tx.c, tx.st, tx.c.store.db}
	scan := tx.Scan(tx.st.indexes[0], []Range{{}}, false)
	defer func() { _ = scan.Close() }()
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
		changes, err := tx.indexChanges(added, scan.Key(), nil, doc)
		if err != nil {
			return err
		}
		if err := changes.write(tx); err != nil {
			return err
		}
	}
	return scan.Err()
}
