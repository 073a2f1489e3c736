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

// collectionRecord is the catalog's record of a collection.
type collectionRecord struct {
	ID      uint32      `bson:"id"`
	Options bson.Raw    `bson:"options"`
	Indexes []IndexSpec `bson:"indexes"`
}

func catalogKey(ns string) []byte { return append([]byte{tagCatalog}, ns...) }

// loadCatalog reads all collections and the next free ID from the store.
func (s *Store) loadCatalog() error {
	id, closer, err := s.db.Get([]byte{tagNextID})
	switch {
	case err == nil:
		s.nextID = binary.BigEndian.Uint32(id)
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

// putCatalog adds to b the catalog record of c with the indexes of st.
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

// allocateID returns a new ID for a collection or index, and records in b that the
// ID is used. The caller must hold s.mu. An ID is never reused, so leftover entries of
// a dropped collection can never appear in another one.
func (s *Store) allocateID(b *pebble.Batch) (uint32, error) {
	id := s.nextID
	s.nextID++
	return id, b.Set([]byte{tagNextID}, binary.BigEndian.AppendUint32(nil, s.nextID), nil)
}

// Collection returns the collection with the namespace ns, or nil if there is
// none.
func (s *Store) Collection(ns string) *Collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.colls[ns]
}

// Collections returns the collections of a database, or of all databases if db
// is empty. It sorts them by namespace.
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

// Create creates the collection ns and returns it and true. If the collection
// already exists, Create returns the existing one and false.
func (s *Store) Create(ns string, options bson.Raw) (*Collection, bool, error) {
	if err := s.checkWritable(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.colls[ns]; c != nil {
		return c, false, nil
	}
	b := s.db.NewBatch()
	id, err := s.allocateID(b)
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

// Drop deletes the collection and its indexes. It returns ErrDropped if the
// collection has already been dropped.
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
	prefixes := [][]byte{keyPrefix(tagDocument, c.id, 0)}
	for _, ix := range st.indexes[1:] {
		prefixes = append(prefixes, keyPrefix(tagIndex, ix.ID, 0))
	}
	for _, p := range prefixes {
		if err := b.DeleteRange(p, prefixEnd(p), nil); err != nil {
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

// CreateIndexes adds the indexes of specs that do not exist yet and builds
// them, either all or none. It returns the number of indexes before the call.
//
// CreateIndexes returns an error if a spec conflicts with an existing index:
// one with the same name but another key or other options, or one with another
// name but the same key and options. It calls check regularly during the build
// and stops if check returns an error.
func (c *Collection) CreateIndexes(specs []IndexSpec, check func() error) (before int, err error) {
	s := c.store
	if err := s.checkWritable(); err != nil {
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
	if err := tx.buildIndexes(added, check); err != nil {
		return len(st.indexes), errors.Join(err, tx.batch.Close())
	}
	return len(st.indexes), tx.commitState(next)
}

// newIndexes returns an index for each of specs that is not in existing.
//
// It writes the next free ID to the store at once, in a separate batch. If the
// batch that builds the indexes wrote it, that batch could overwrite a higher
// value, which another allocation wrote during the build.
func (s *Store) newIndexes(existing []*Index, specs []IndexSpec) (added []*Index, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.db.NewBatch()
	for _, spec := range specs {
		exists, err := findSpec(slices.Concat(existing, added), spec)
		if err != nil {
			return nil, err
		}
		if exists {
			continue
		}
		if spec.ID, err = s.allocateID(b); err != nil {
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

// findSpec reports whether indexes contains an index equal to spec. It returns
// an error if an index conflicts with spec.
// https://www.mongodb.com/docs/manual/reference/command/createIndexes/#considerations
func findSpec(indexes []*Index, spec IndexSpec) (exists bool, err error) {
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

// DropIndexes deletes the named indexes and returns the number of indexes
// before the call. The caller must not pass the name of the index of _id.
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
		prefix := keyPrefix(tagIndex, ix.ID, 0)
		if err := b.DeleteRange(prefix, prefixEnd(prefix), nil); err != nil {
			return 0, err
		}
	}
	tx := &Tx{c: c, st: next, batch: b}
	return len(st.indexes), tx.commitState(next)
}
