package indextest_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
)

// world is one collection with indexes, one without, and the model.
type world struct {
	c       *client
	name    string
	docs    []bson.D
	indexes []*index
	count   tally
	bytes   map[*bson.E]string // of documents, by their first field
}

// raw returns a document's bytes.
func (w *world) raw(doc bson.D) string {
	raw, ok := w.bytes[&doc[0]]
	if !ok {
		b, err := bson.Marshal(doc)
		if err != nil {
			return err.Error()
		}
		raw = string(b)
		w.bytes[&doc[0]] = raw
	}
	return raw
}

func (w *world) indexed() string { return w.name + "x" }
func (w *world) plain() string   { return w.name + "p" }

// newWorld fills the collections; some indexes are made before the documents
// come, the others have to be built from them. Documents and indexes that do
// not go together are left out.
func newWorld(c *client, name string, docs []bson.D, indexes []*index, before int, count tally) (*world, error) {
	w := &world{c: c, name: name, count: count, bytes: map[*bson.E]string{}}
	for _, ix := range indexes[:before] {
		if err := w.addIndex(ix); err != nil {
			return w, err
		}
	}
	for _, doc := range docs {
		if err := w.change(statement{kind: "insert", update: doc}); err != nil {
			return w, err
		}
	}
	for _, ix := range indexes[before:] {
		if err := w.addIndex(ix); err != nil {
			return w, err
		}
	}
	return w, w.verify()
}

func (w *world) drop() {
	for _, coll := range []string{w.indexed(), w.plain()} {
		_, _ = w.c.run(bson.D{{Key: "drop", Value: coll}})
	}
}

// addIndex makes an index, unless the documents stand against it.
func (w *world) addIndex(ix *index) error {
	err := w.c.index(w.indexed(), ix.name, ix.key, ix.options...)
	if ok, err := w.justified(err, append(slices.Clone(w.indexes), ix), w.docs, false); !ok {
		return fmt.Errorf("create index %s: %w", ix.describe(), err)
	} else if ok && err == nil {
		w.indexes = append(w.indexes, ix)
	}
	return nil
}

func (ix *index) describe() string {
	return text(append(bson.D{{Key: "key", Value: ix.key}}, ix.options...))
}

// justified tells whether the indexed collection was right to refuse, or not
// to refuse, that docs become its documents. The error is nil if it accepted.
func (w *world) justified(got error, indexes []*index, docs []bson.D, multi bool) (bool, error) {
	codes, err := refusals(indexes, docs)
	if err != nil {
		return false, err
	}
	var refused *commandError
	switch {
	case got == nil && len(codes) == 0:
		return true, nil
	case got == nil:
		return false, fmt.Errorf("it was accepted, but an index has to refuse it with %v", codes)
	case !errors.As(got, &refused):
		return false, got
	case slices.Contains(codes, refused.Code), multi && refused.Code == 11000: // two may clash on the way only
		return true, got
	case refused.Code == 171 && slices.ContainsFunc(indexes, (*index).numbered):
		return true, got
	}
	return false, fmt.Errorf("it was refused: %w, but no index stands against it", got)
}

// run runs a statement everywhere and returns how the answers differ.
func (w *world) run(s statement) error {
	if s.kind == "find" {
		return w.find(s)
	}
	if err := w.change(s); err != nil {
		return err
	}
	return w.verify()
}

// change runs a statement that writes and compares the replies.
func (w *world) change(s statement) error {
	next, refused, err := w.model(s)
	if errors.Is(err, errNoID) { // it would be a new one each time
		return nil
	}
	if err != nil {
		return err
	}
	got, gotErr := w.c.run(s.command(w.indexed(), true))
	if refused != nil {
		if gotErr == nil {
			return fmt.Errorf("the model refuses it (%w), the server does not: %s", refused, text(got))
		}
		if _, err := w.c.run(s.command(w.plain(), false)); err == nil {
			return errors.New("without an index it is not refused")
		}
		return nil
	}
	ok, why := w.justified(gotErr, w.indexes, next, s.multi)
	switch {
	case !ok:
		return why
	case gotErr != nil: // and nothing changed
		w.count["refused by an index"]++
		return nil
	}
	want, err := w.c.run(s.command(w.plain(), false))
	if err != nil {
		return fmt.Errorf("without an index: %w", err)
	}
	if !same(got, want) {
		return fmt.Errorf("with indexes it answers %s, without %s", text(got), text(want))
	}
	w.docs = next
	return nil
}

// model returns the documents after a statement, and the error if it has to
// be refused.
func (w *world) model(s statement) (next []bson.D, refused, err error) {
	next = slices.Clone(w.docs)
	if s.kind == "insert" {
		return append(next, s.update), nil, nil
	}
	found, err := matching(s.filter, w.docs, w.count)
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
		if next[i], err = changed(s.update, s.filter, doc, false, w.count); errors.Is(err, errModels) {
			return nil, nil, err
		} else if err != nil {
			return w.docs, err, nil
		}
	}
	if len(found) == 0 && s.upserts {
		doc, err := upserted(s, w.count)
		if errors.Is(err, errModels) || errors.Is(err, errNoID) {
			return nil, nil, err
		} else if err != nil {
			return w.docs, err, nil
		}
		if slices.ContainsFunc(w.docs, sameID(doc)) {
			return w.docs, errors.New("its _id is taken"), nil
		}
		next = append(next, doc)
	}
	return next, nil, nil
}

func sameID(doc bson.D) func(bson.D) bool {
	return func(d bson.D) bool { return bsonkit.Compare(d[0].Value, doc[0].Value) == 0 }
}

// find compares the answers with the model's: the same documents, each once,
// and the same sequence of sort keys; which of several equal ones comes first
// is nobody's promise.
func (w *world) find(s statement) error {
	matches, err := matching(s.filter, w.docs, w.count)
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
	for _, coll := range []string{w.plain(), w.indexed()} {
		got, err := w.c.documents(s.command(coll, coll == w.indexed()))
		if err != nil {
			return fmt.Errorf("%s: %w", coll, err)
		}
		if err := w.equivalent(got, want, matches, order); err != nil {
			return fmt.Errorf("%s: %w", map[bool]string{true: "with indexes", false: "without an index"}[coll == w.indexed()], err)
		}
	}
	return nil
}

func (w *world) equivalent(got, want, matches []bson.D, order *query.Sort) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d documents %v, want %d %v", len(got), ids(got), len(want), ids(want))
	}
	seen := map[string]bool{}
	for i, doc := range got {
		id := name(doc[0].Value)
		if seen[id] {
			return fmt.Errorf("the document %s came twice", id)
		}
		seen[id] = true
		if raw := w.raw(doc); !slices.ContainsFunc(matches, func(m bson.D) bool { return w.raw(m) == raw }) {
			return fmt.Errorf("%s is none of those that match", text(doc))
		}
		if order != nil && order.Compare(doc, want[i]) != 0 {
			return fmt.Errorf("at place %d stands %s, want %s; the order is %v, want %v", i, text(doc), text(want[i]), ids(got), ids(want))
		}
	}
	return nil
}

func ids(docs []bson.D) (list []any) {
	for _, d := range docs {
		list = append(list, d[0].Value)
	}
	return list
}

// verify compares the collections with the model.
func (w *world) verify() error {
	want := make([]string, len(w.docs))
	for i, doc := range w.docs {
		want[i] = w.raw(doc)
	}
	slices.Sort(want)
	for _, coll := range []string{w.plain(), w.indexed()} {
		got, err := w.c.raws(bson.D{{Key: "find", Value: coll}})
		if err != nil {
			return err
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			continue
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				return fmt.Errorf("%s holds other documents than the model, as %s and %s", coll, readable(got, i), readable(want, i))
			}
		}
	}
	return nil
}

func readable(list []string, i int) string {
	if i >= len(list) {
		return "none"
	}
	return bson.Raw(list[i]).String()
}

// verifyIndexes walks every index from end to end: it has to hold the
// documents that belong to it, at as many keys as the model says.
func (w *world) verifyIndexes() error {
	for _, ix := range w.indexes {
		filter := bson.D{}
		if ix.partial != nil {
			filter = ix.partial.Source()
		}
		var want []any
		keys := 0
		for _, doc := range w.docs {
			list, _, err := ix.keys(doc)
			if err != nil {
				return err
			}
			if keys += len(list); len(list) > 0 || ix.numbered() && !ix.sparse {
				want = append(want, doc[0].Value)
			}
		}
		cmd := bson.D{{Key: "find", Value: w.indexed()}, {Key: "filter", Value: filter}, {Key: "hint", Value: ix.name}}
		docs, err := w.c.documents(cmd)
		if err != nil {
			return fmt.Errorf("index %s: %w", ix.describe(), err)
		}
		if got := ids(docs); !equalSets(got, want) && !(ix.numbered() && (ix.sparse || ix.partial != nil)) {
			return fmt.Errorf("index %s holds the documents %v, want %v", ix.describe(), got, want)
		}
		reply, err := w.c.run(bson.D{{Key: "explain", Value: cmd}})
		if err != nil {
			return err
		}
		got, _ := at(reply, "executionStats", "totalKeysExamined").(int32)
		if plan := at(reply, "queryPlanner", "winningPlan").(bson.D); at(plan, "inputStage", "indexBounds") == nil && !ix.numbered() && int(got) != keys {
			return fmt.Errorf("index %s has %d entries, want %d", ix.describe(), got, keys)
		}
	}
	return nil
}

func name(v any) string { return fmt.Sprintf("%T %v", v, v) }

func equalSets(a, b []any) bool {
	set := func(list []any) (names []string) {
		for _, v := range list {
			names = append(names, name(v))
		}
		slices.Sort(names)
		return names
	}
	return slices.Equal(set(a), set(b))
}
