package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// collectionRecord is a collection as the catalog keeps it.
type collectionRecord struct {
	ID      uint32      `bson:"id"`
	Options bson.Raw    `bson:"options"`
	Indexes []IndexSpec `bson:"indexes"`
}

func catalogKey(ns string) []byte { return append([]byte{tagCatalog}, ns...) }

func (s *Store) loadCatalog() error {
	number, closer, err := s.db.Get([]byte{tagNumber})
	switch {
	case err == nil:
		s.next = binary.BigEndian.Uint32(number)
		if err := closer.Close(); err != nil {
			return err
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return err
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tagCatalog}, UpperBound: []byte{tagCatalog + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		ns := string(it.Key()[1:])
		var rec collectionRecord
		if err := bson.Unmarshal(it.Value(), &rec); err != nil {
			return errors.Join(fmt.Errorf("catalog of %s: %w", ns, err), it.Close())
		}
		c := &Collection{store: s, NS: ns, id: rec.ID, Options: rec.Options}
		st := &state{}
		for _, spec := range rec.Indexes {
			ix, err := newIndex(spec)
			if err != nil {
				return errors.Join(fmt.Errorf("index %s of %s: %w", spec.Name, ns, err), it.Close())
			}
			st.indexes = append(st.indexes, ix)
		}
		c.state.Store(st)
		s.colls[ns] = c
	}
	return it.Close()
}

// putCatalog writes c with the indexes of st, and the next free number.
func (s *Store) putCatalog(b *pebble.Batch, c *Collection, st *state) error {
	rec := collectionRecord{ID: c.id, Options: c.Options, Indexes: make([]IndexSpec, len(st.indexes))}
	for i, ix := range st.indexes {
		rec.Indexes[i] = ix.IndexSpec
	}
	raw, err := bson.Marshal(rec)
	if err != nil {
		return err
	}
	return b.Set(catalogKey(c.NS), raw, nil)
}

// number takes the next free number for a collection or index, in b. The
// caller holds s.mu. A number is used once only, so that what a dropped
// collection may have left can never show up in another.
func (s *Store) number(b *pebble.Batch) (uint32, error) {
	n := s.next
	s.next++
	return n, b.Set([]byte{tagNumber}, binary.BigEndian.AppendUint32(nil, s.next), nil)
}

// Collection returns the collection named ns, nil if there is none.
func (s *Store) Collection(ns string) *Collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.colls[ns]
}

// Collections returns the collections of a database sorted by name, of all
// databases if db is empty.
func (s *Store) Collections(db string) []*Collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*Collection
	for ns, c := range s.colls {
		if db == "" || strings.HasPrefix(ns, db+".") {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Collection) int { return strings.Compare(a.NS, b.NS) })
	return list
}

// Create makes the collection ns and returns it. It returns the one that is
// there, and false, if there is one.
func (s *Store) Create(ns string, options bson.Raw) (*Collection, bool, error) {
	if err := s.writable(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.colls[ns]; c != nil {
		return c, false, nil
	}
	b := s.db.NewBatch()
	id, err := s.number(b)
	if err != nil {
		return nil, false, err
	}
	if options == nil {
		options = bson.Raw{5, 0, 0, 0, 0}
	}
	idIndex, err := newIndex(IndexSpec{Name: "_id_", Key: bson.D{{Key: "_id", Value: int32(1)}}, Unique: true})
	if err != nil {
		return nil, false, err
	}
	c := &Collection{store: s, NS: ns, id: id, Options: options}
	st := &state{indexes: []*Index{idIndex}}
	c.state.Store(st)
	if err := s.putCatalog(b, c, st); err != nil {
		return nil, false, err
	}
	if err := s.apply(b); err != nil {
		return nil, false, err
	}
	s.colls[ns] = c
	return c, true, nil
}

// Drop deletes the collection with its indexes.
func (s *Store) Drop(c *Collection) error {
	c.write.Lock()
	defer c.write.Unlock()
	st := c.state.Load()
	if st.dropped {
		return ErrDropped
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.db.NewBatch()
	if err := b.Delete(catalogKey(c.NS), nil); err != nil {
		return err
	}
	prefixes := [][]byte{numbered(tagDocument, c.id, 0)}
	for _, ix := range st.indexes[1:] {
		prefixes = append(prefixes, numbered(tagIndex, ix.ID, 0))
	}
	for _, p := range prefixes {
		if err := b.DeleteRange(p, after(p), nil); err != nil {
			return err
		}
	}
	c.publish.Lock()
	defer c.publish.Unlock()
	if err := s.apply(b); err != nil {
		return err
	}
	c.state.Store(&state{dropped: true})
	delete(s.colls, c.NS)
	return nil
}

// CreateIndexes adds the indexes of specs that are not there yet and fills
// them; all of them or none. It returns how many there were before. An index
// that is there under another name or with other options is refused. An error of
// check, which is asked now and then, ends the work.
func (c *Collection) CreateIndexes(specs []IndexSpec, check func() error) (before int, err error) {
	s := c.store
	if err := s.writable(); err != nil {
		return 0, err
	}
	c.write.Lock()
	defer c.write.Unlock()
	st := c.state.Load()
	if st.dropped {
		return 0, ErrDropped
	}
	added, err := s.newIndexes(st.indexes, specs)
	if err != nil || len(added) == 0 {
		return len(st.indexes), err
	}
	next := &state{indexes: slices.Concat(st.indexes, added)}
	tx := &Tx{c: c, st: next, batch: s.db.NewIndexedBatch()}
	if err := tx.fill(added, check); err != nil {
		return len(st.indexes), errors.Join(err, tx.batch.Close())
	}
	return len(st.indexes), tx.commitState(next)
}

// newIndexes returns the indexes of specs that are not among those that are
// there. Their numbers are taken in the store at once, and not with what fills
// them, which comes later than the numbers that others take meanwhile.
func (s *Store) newIndexes(there []*Index, specs []IndexSpec) (added []*Index, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.db.NewBatch()
	for _, spec := range specs {
		known, err := conflicts(slices.Concat(there, added), spec)
		if err != nil {
			return nil, err
		}
		if known {
			continue
		}
		if spec.ID, err = s.number(b); err != nil {
			return nil, err
		}
		ix, err := newIndex(spec)
		if err != nil {
			return nil, err
		}
		added = append(added, ix)
	}
	if len(added) == 0 {
		return nil, nil
	}
	return added, s.apply(b)
}

// conflicts tells whether spec is among the indexes already, and refuses one
// that differs from what is there.
// https://www.mongodb.com/docs/manual/reference/command/createIndexes/#considerations
func conflicts(indexes []*Index, spec IndexSpec) (there bool, err error) {
	for _, ix := range indexes {
		sameKey, sameOptions := ix.sameKey(spec.Key), ix.sameOptions(spec)
		switch {
		case ix.Name == spec.Name && sameKey && sameOptions:
			return true, nil
		case ix.Name == spec.Name && !sameKey:
			return false, mongoerr.New(mongoerr.IndexKeySpecsConflict,
				"An existing index has the same name as the requested index. When index names are not specified, they are auto generated and can cause conflicts. Please refer to our documentation. Requested index: %s, existing index: %s", spec.Name, ix.Name)
		case ix.Name == spec.Name:
			return false, mongoerr.New(mongoerr.IndexOptionsConflict,
				"An equivalent index already exists with the same name but different options. Requested index: %s, existing index: %s", spec.Name, ix.Name)
		case sameKey && sameOptions:
			return false, mongoerr.New(mongoerr.IndexOptionsConflict, "Index already exists with a different name: %s", ix.Name)
		}
	}
	return false, nil
}

// DropIndexes deletes the named indexes; _id_ cannot be among them.
func (c *Collection) DropIndexes(names []string) (before int, err error) {
	c.write.Lock()
	defer c.write.Unlock()
	st := c.state.Load()
	if st.dropped {
		return 0, ErrDropped
	}
	b := c.store.db.NewBatch()
	next := &state{}
	for _, ix := range st.indexes {
		if !slices.Contains(names, ix.Name) {
			next.indexes = append(next.indexes, ix)
			continue
		}
		prefix := numbered(tagIndex, ix.ID, 0)
		if err := b.DeleteRange(prefix, after(prefix), nil); err != nil {
			return 0, err
		}
	}
	tx := &Tx{c: c, st: next, batch: b}
	return len(st.indexes), tx.commitState(next)
}
