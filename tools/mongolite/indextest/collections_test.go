package indextest_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
)

// collections is a collection with indexes, a collection without indexes, and the
// model. The three must always hold the same documents.
type collections struct {
	c       *client
	name    string
	docs    []bson.D // the model's documents
	indexes []*index
	count   tally
	bytes   map[*bson.E]string // encoded documents by the address of their first field
}

// raw returns the encoding of a document.
func (cs *collections) raw(doc bson.D) string {
	raw, ok := cs.bytes[&doc[0]]
	if !ok {
		b, err := bson.Marshal(doc)
		if err != nil {
			return err.Error()
		}
		raw = string(b)
		cs.bytes[&doc[0]] = raw
	}
	return raw
}

func (cs *collections) indexed() string { return cs.name + "x" }
func (cs *collections) plain() string   { return cs.name + "p" }

// newCollections creates the collections with docs and indexes. It creates the
// first n indexes before it inserts the documents, and the others afterwards. It
// leaves out documents and indexes that the server rightly refuses.
func newCollections(c *client, name string, docs []bson.D, indexes []*index, n int, count tally) (*collections, error) {
	cs := &collections{c: c, name: name, count: count, bytes: map[*bson.E]string{}}
	for _, ix := range indexes[:n] {
		if err := cs.addIndex(ix); err != nil {
			return cs, err
		}
	}
	for _, doc := range docs {
		if err := cs.change(statement{kind: "insert", update: doc}); err != nil {
			return cs, err
		}
	}
	for _, ix := range indexes[n:] {
		if err := cs.addIndex(ix); err != nil {
			return cs, err
		}
	}
	return cs, cs.verify()
}

// drop drops both collections.
func (cs *collections) drop() {
	for _, coll := range []string{cs.indexed(), cs.plain()} {
		_, _ = cs.c.run(bson.D{{Key: "drop", Value: coll}})
	}
}

// addIndex creates an index. It is not an error if the server refuses the index
// because of the documents.
func (cs *collections) addIndex(ix *index) error {
	err := cs.c.createIndex(cs.indexed(), ix.name, ix.key, ix.options...)
	if ok, err := cs.justified(err, append(slices.Clone(cs.indexes), ix), cs.docs, false); !ok {
		return fmt.Errorf("create index %s: %w", ix.describe(), err)
	} else if err == nil {
		cs.indexes = append(cs.indexes, ix)
	}
	return nil
}

// describe returns the key and options of the index.
func (ix *index) describe() string {
	return extJSON(append(bson.D{{Key: "key", Value: ix.key}}, ix.options...))
}

// justified checks the server's reply to a statement that would change the
// contents of the indexed collection to docs. The error in the reply is got, which
// is nil if the server accepted the statement. If the reply is correct, justified
// returns true and got. Otherwise it returns false and an error that says what is
// wrong.
func (cs *collections) justified(got error, indexes []*index, docs []bson.D, multi bool) (ok bool, err error) {
	codes, err := refusals(indexes, docs)
	if err != nil {
		return false, err
	}
	var refused *commandError
	switch {
	case got == nil && len(codes) == 0:
		return true, nil
	case got == nil:
		return false, fmt.Errorf("got no error, want one of the codes %v", codes)
	case !errors.As(got, &refused):
		return false, got
	case slices.Contains(codes, refused.Code), multi && refused.Code == 11000: // an intermediate state may contain a duplicate
		return true, got
	case refused.Code == 171 && slices.ContainsFunc(indexes, (*index).hasPosition):
		return true, got
	}
	return false, fmt.Errorf("got an error, want none: %w", got)
}

// run runs a statement on both collections and the model. It returns an error if
// the results differ.
func (cs *collections) run(s statement) error {
	if s.kind == "find" {
		return cs.find(s)
	}
	if err := cs.change(s); err != nil {
		return err
	}
	return cs.verify()
}

// change runs a statement that writes, and compares the replies.
func (cs *collections) change(s statement) error {
	next, refused, err := cs.model(s)
	if errors.Is(err, errNoID) { // the server would generate a different _id for each collection
		return nil
	}
	if err != nil {
		return err
	}
	got, gotErr := cs.c.run(s.command(cs.indexed(), true))
	if refused != nil {
		if gotErr == nil {
			return fmt.Errorf("with indexes: got %s, want an error because of: %w", extJSON(got), refused)
		}
		if _, err := cs.c.run(s.command(cs.plain(), false)); err == nil {
			return fmt.Errorf("without indexes: got no error, want one because of: %w", refused)
		}
		return nil
	}
	ok, err := cs.justified(gotErr, cs.indexes, next, s.multi)
	switch {
	case !ok:
		return err
	case gotErr != nil: // nothing changed
		cs.count["refused by an index"]++
		return nil
	}
	want, err := cs.c.run(s.command(cs.plain(), false))
	if err != nil {
		return fmt.Errorf("without indexes: %w", err)
	}
	if !same(got, want) {
		return fmt.Errorf("the replies differ: with indexes %s, without indexes %s", extJSON(got), extJSON(want))
	}
	cs.docs = next
	return nil
}

// model runs a statement on the model and returns the resulting documents. If the
// server must refuse the statement, refused says why and the documents are
// unchanged. It returns an error if the models disagree or the outcome is not
// determined.
func (cs *collections) model(s statement) (next []bson.D, refused, err error) {
	next = slices.Clone(cs.docs)
	if s.kind == "insert" {
		return append(next, s.update), nil, nil
	}
	found, err := matching(s.filter, cs.docs, cs.count)
	if err != nil {
		return nil, nil, err
	}
	if s.kind == "findAndModify" {
		if found, _, err = sorted(s.sort, found); err != nil {
			return nil, nil, err
		}
		found = found[:min(1, len(found))]
	}
	for _, doc := range found {
		i := slices.IndexFunc(next, sameID(doc))
		if s.kind == "delete" {
			next = slices.Delete(next, i, i+1)
			continue
		}
		if next[i], err = updated(s.update, s.filter, doc, false, cs.count); errors.Is(err, errModelsDisagree) {
			return nil, nil, err
		} else if err != nil {
			return cs.docs, err, nil
		}
	}
	if len(found) == 0 && s.upsert {
		doc, err := upserted(s, cs.count)
		if errors.Is(err, errModelsDisagree) || errors.Is(err, errNoID) {
			return nil, nil, err
		} else if err != nil {
			return cs.docs, err, nil
		}
		if slices.ContainsFunc(cs.docs, sameID(doc)) {
			return cs.docs, errors.New("the _id is taken"), nil
		}
		next = append(next, doc)
	}
	return next, nil, nil
}

// sameID returns a function that reports whether a document has the _id of doc.
func sameID(doc bson.D) func(bson.D) bool {
	return func(d bson.D) bool { return bsonkit.Compare(d[0].Value, doc[0].Value) == 0 }
}

// find runs a find and compares the results with the model's. They must be the
// same documents, each once, in the same sequence of sort keys. The order of
// documents with equal sort keys is not specified.
func (cs *collections) find(s statement) error {
	matches, err := matching(s.filter, cs.docs, cs.count)
	if err != nil {
		return err
	}
	want, order := matches, (*query.Sort)(nil)
	if len(s.sort) > 0 {
		if want, order, err = sorted(s.sort, matches); err != nil {
			return err
		}
	}
	want = want[min(int(s.skip), len(want)):]
	if s.limit > 0 {
		want = want[:min(int(s.limit), len(want))]
	}
	for _, coll := range []string{cs.plain(), cs.indexed()} {
		got, err := cs.c.documents(s.command(coll, coll == cs.indexed()))
		if err != nil {
			return fmt.Errorf("%s: %w", coll, err)
		}
		if err := cs.equivalent(got, want, matches, order); err != nil {
			return fmt.Errorf("%s: %w", map[bool]string{true: "with indexes", false: "without indexes"}[coll == cs.indexed()], err)
		}
	}
	return nil
}

// equivalent returns an error if got, the result of a find, is not equivalent to
// want, the model's result. The argument matches holds all documents that match
// the filter, and order is the sort, or nil if there is none.
func (cs *collections) equivalent(got, want, matches []bson.D, order *query.Sort) error {
	if len(got) != len(want) {
		return fmt.Errorf("got %d documents %v, want %d %v", len(got), ids(got), len(want), ids(want))
	}
	seen := map[string]bool{}
	for i, doc := range got {
		id := idText(doc[0].Value)
		if seen[id] {
			return fmt.Errorf("got the document %s twice", id)
		}
		seen[id] = true
		if raw := cs.raw(doc); !slices.ContainsFunc(matches, func(m bson.D) bool { return cs.raw(m) == raw }) {
			return fmt.Errorf("got %s, which does not match", extJSON(doc))
		}
		if order != nil && order.Compare(doc, want[i]) != 0 {
			return fmt.Errorf("position %d: got %s, want %s; got the order %v, want %v", i, extJSON(doc), extJSON(want[i]), ids(got), ids(want))
		}
	}
	return nil
}

// ids returns the _ids of the documents.
func ids(docs []bson.D) (list []any) {
	for _, d := range docs {
		list = append(list, d[0].Value)
	}
	return list
}

// verify returns an error if a collection does not hold exactly the model's
// documents.
func (cs *collections) verify() error {
	want := make([]string, len(cs.docs))
	for i, doc := range cs.docs {
		want[i] = cs.raw(doc)
	}
	slices.Sort(want)
	for _, coll := range []string{cs.plain(), cs.indexed()} {
		got, err := cs.c.rawDocuments(bson.D{{Key: "find", Value: coll}})
		if err != nil {
			return err
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			continue
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				return fmt.Errorf("documents of %s: got %s, want %s as in the model", coll, documentText(got, i), documentText(want, i))
			}
		}
	}
	return nil
}

// documentText returns the encoded document list[i] as text.
func documentText(list []string, i int) string {
	if i >= len(list) {
		return "none"
	}
	return bson.Raw(list[i]).String()
}

// verifyIndexes scans every index completely. It returns an error if an index
// does not lead to the same documents, or does not have the same number of
// entries, as the model.
func (cs *collections) verifyIndexes() error {
	for _, ix := range cs.indexes {
		filter := bson.D{}
		if ix.partial != nil {
			filter = ix.partial.Source()
		}
		var want []any
		keys := 0
		for _, doc := range cs.docs {
			list, _, err := ix.keys(doc)
			if err != nil {
				return err
			}
			if keys += len(list); len(list) > 0 || ix.hasPosition() && !ix.sparse {
				want = append(want, doc[0].Value)
			}
		}
		cmd := bson.D{{Key: "find", Value: cs.indexed()}, {Key: "filter", Value: filter}, {Key: "hint", Value: ix.name}}
		docs, err := cs.c.documents(cmd)
		if err != nil {
			return fmt.Errorf("index %s: %w", ix.describe(), err)
		}
		if got := ids(docs); !equalSets(got, want) && (!ix.hasPosition() || !ix.sparse && ix.partial == nil) {
			return fmt.Errorf("index %s: got the documents %v, want %v", ix.describe(), got, want)
		}
		reply, err := cs.c.run(bson.D{{Key: "explain", Value: cmd}})
		if err != nil {
			return err
		}
		got, _ := lookup(reply, "executionStats", "totalKeysExamined").(int32)
		if plan := lookup(reply, "queryPlanner", "winningPlan").(bson.D); lookup(plan, "inputStage", "indexBounds") == nil && !ix.hasPosition() && int(got) != keys {
			return fmt.Errorf("index %s: got %d entries, want %d", ix.describe(), got, keys)
		}
	}
	return nil
}

// idText returns an _id with its type.
func idText(v any) string { return fmt.Sprintf("%T %v", v, v) }

// equalSets reports whether a and b have the same elements in any order.
func equalSets(a, b []any) bool {
	set := func(list []any) (names []string) {
		for _, v := range list {
			names = append(names, idText(v))
		}
		slices.Sort(names)
		return names
	}
	return slices.Equal(set(a), set(b))
}
