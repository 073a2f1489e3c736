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

// item returns the document with the given _id at version v. All other fields
// are derived from these two, so that a half-written document is recognized.
// Version 0 means that the document does not exist; item then returns nil.
func item(id, v int64) bson.D {
	if v == 0 {
		return nil
	}
	doc := bson.D{{"_id", id}, {"v", v},
		{"u", fmt.Sprintf("%d/%d", id, v)},
		{"tags", bson.A{fmt.Sprint("t", v%7), fmt.Sprint("t", (v+id)%5), fmt.Sprint("own", id)}},
		{"p", v%5 - 2}, // the partial index holds the values above 0
		{"exp", bson.NewDateTimeFromTime(time.Unix(4e9+v, 0))},
		{"pad", bson.Binary{Data: bytes.Repeat([]byte{byte(v)}, int(v%9)*100)}},
	}
	if v%3 > 0 {
		doc = append(doc, bson.E{Key: "s", Value: v % 11}) // the sparse index leaves out every third version
	}
	return doc
}

// updateTo returns the update that turns any version of a document into version
// v.
func updateTo(id, v int64) bson.D {
	doc := item(id, v)
	update := bson.D{{"$set", doc[1:]}}
	if v%3 == 0 {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{"s", ""}}})
	}
	return update
}

// ledger records the expected state of one writer's documents. It lives in the
// test and survives the kills.
type ledger struct {
	acked   map[int64]int64   // the last acknowledged version by _id
	inDoubt map[int64][]int64 // the versions of writes whose outcome is unknown
	last    int64             // the last version that was handed out
	// commands are the ordered commands in doubt. Each one wrote the same version
	// to several documents.
	commands []orderedWrite
}

// orderedWrite is an ordered command that writes one version to the documents
// ids, in this order.
type orderedWrite struct {
	ids     []int64
	version int64
}

// version returns a version that was not used before.
func (l *ledger) version() int64 {
	l.last++
	return l.last
}

// record enters the outcome of a write of version v to the documents ids. It
// returns err if the server refused the write. The server has no reason to refuse
// one, because no two writers write the same documents.
func (l *ledger) record(err error, v int64, ids ...int64) error {
	for _, id := range ids {
		if err == nil {
			l.acked[id] = v
		} else {
			l.inDoubt[id] = append(l.inDoubt[id], v)
		}
	}
	if err != nil {
		l.commands = append(l.commands, orderedWrite{ids, v})
	}
	return unexpected(err)
}

// unexpected returns nil if a kill of the server explains err, and err otherwise.
func unexpected(err error) error {
	if err == nil || mongo.IsNetworkError(err) || mongo.IsTimeout(err) || errors.Is(err, context.Canceled) {
		return nil
	}
	// An error without a code comes from the driver: it closed the connection, or
	// could not select a server.
	if codeOf(err) == 0 {
		return nil
	}
	return err
}

// settledIDs returns up to n random _ids of writer i in the collection "items"
// that have no write in doubt. Their documents exist if exist is true, and do not
// exist otherwise.
func (l *ledger) settledIDs(i, n int, exist bool) []int64 {
	var ids []int64
	for _, j := range rand.Perm(idsPerWriter) {
		id := int64(i*idsPerWriter + j)
		if id%4 != 3 && len(l.inDoubt[id]) == 0 && (l.acked[id] > 0) == exist && len(ids) < n {
			ids = append(ids, id)
		}
	}
	return ids
}

// same reports whether a stored document has exactly the fields of want. It
// ignores the order of the fields, since an update may append them in another
// order.
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
