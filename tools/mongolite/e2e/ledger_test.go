package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// item is a document at a version. All its fields follow from its _id and
// version, so that one of two halves is told from a whole one. Version 0 is
// that there is no document.
func item(id, v int64) bson.D {
	if v == 0 {
		return nil
	}
	doc := bson.D{{"_id", id}, {"v", v},
		{"u", fmt.Sprintf("%d/%d", id, v)},
		{"tags", bson.A{fmt.Sprint("t", v%7), fmt.Sprint("t", (v+id)%5), fmt.Sprint("own", id)}},
		{"p", v%5 - 2}, // the partial index holds those above 0
		{"exp", bson.NewDateTimeFromTime(time.Unix(4e9+v, 0))},
		{"pad", bson.Binary{Data: bytes.Repeat([]byte{byte(v)}, int(v%9)*100)}},
	}
	if v%3 > 0 {
		doc = append(doc, bson.E{Key: "s", Value: v % 11}) // the sparse index lacks every third
	}
	return doc
}

// change returns the update that makes version v of a document.
func change(id, v int64) bson.D {
	doc := item(id, v)
	update := bson.D{{"$set", doc[1:]}}
	if v%3 == 0 {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{"s", ""}}})
	}
	return update
}

// ledger is what is known outside the server of the documents of one writer.
type ledger struct {
	known map[int64]int64   // the version acknowledged last
	maybe map[int64][]int64 // versions of writes whose outcome is unknown
	next  int64             // versions are used once
	// commands are those in doubt that wrote one version to several documents
	// in order.
	commands []orderedWrite
}

type orderedWrite struct {
	ids     []int64
	version int64
}

func (l *ledger) version() int64 {
	l.next++
	return l.next
}

func (l *ledger) ack(id, v int64) { l.known[id] = v }
func (l *ledger) doubt(id, v int64) {
	l.maybe[id] = append(l.maybe[id], v)
}

// record notes a write of version v of each of the ids. A refusal by the
// server would be one too many: no writer meets another.
func (l *ledger) record(err error, v int64, ids ...int64) error {
	for _, id := range ids {
		if err == nil {
			l.ack(id, v)
		} else {
			l.doubt(id, v)
		}
	}
	if err != nil {
		l.commands = append(l.commands, orderedWrite{ids, v})
	}
	return unexpected(err)
}

// unexpected returns an error that does not come from the server's death.
func unexpected(err error) error {
	if err == nil || mongo.IsNetworkError(err) || mongo.IsTimeout(err) || errors.Is(err, context.Canceled) {
		return nil
	}
	if codeOf(err) == 0 { // no server said so: the connection was cleared, no server can be selected
		return nil
	}
	return err
}

// quiet returns up to n ids of a writer's in one collection that are there, or
// not there, and not in doubt.
func (l *ledger) quiet(i, n int, there bool) []int64 {
	var ids []int64
	for _, j := range rand.Perm(idsPerWriter) {
		id := int64(i*idsPerWriter + j)
		if id%4 != 3 && len(l.maybe[id]) == 0 && (l.known[id] > 0) == there && len(ids) < n {
			ids = append(ids, id)
		}
	}
	return ids
}

// same compares a document with what it should be; the order of the fields
// behind the first is the update's.
func same(raw bson.Raw, want bson.D) bool {
	if raw == nil || want == nil {
		return raw == nil && want == nil
	}
	elements, err := raw.Elements()
	if err != nil || len(elements) != len(want) {
		return false
	}
	for _, e := range want {
		typ, data, err := bson.MarshalValue(e.Value)
		if got := raw.Lookup(e.Key); err != nil || got.Type != typ || !bytes.Equal(got.Value, data) {
			return false
		}
	}
	return true
}
