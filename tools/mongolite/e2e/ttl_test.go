package e2e_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// TestTTLIndexExpiresOnlyDatesInThePast checks which values make a document
// expire, according to https://www.mongodb.com/docs/manual/core/index-ttl/.
func TestTTLIndexExpiresOnlyDatesInThePast(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	tests := []struct {
		name    string
		exp     any // nil leaves the field out
		expires bool
	}{
		{"past", past, true},
		{"long past", time.Unix(-1e9, 0), true},
		{"future", future, false},
		{"within the delay", time.Now(), false},
		{"missing", nil, false},
		{"null", bson.Null{}, false},
		{"number", past.UnixMilli(), false},
		{"small number", int32(1), false},
		{"string", past.Format(time.RFC3339), false},
		{"timestamp", bson.Timestamp{T: uint32(past.Unix())}, false},
		{"document", bson.D{{"at", past}}, false},
		{"bool", true, false},
		{"dates, one past", bson.A{future, past}, true},
		{"dates, none past", bson.A{future, future}, false},
		{"past date among others", bson.A{"x", past, 5}, true},
		{"no dates", bson.A{"x", 5}, false},
		{"empty array", bson.A{}, false},
	}
	indexes := map[string]mongo.IndexModel{
		"ascending":  {Keys: bson.D{{"exp", 1}}, Options: options.Index().SetExpireAfterSeconds(600)},
		"descending": {Keys: bson.D{{"exp", -1}}, Options: options.Index().SetExpireAfterSeconds(600)},
		"sparse":     {Keys: bson.D{{"exp", 1}}, Options: options.Index().SetExpireAfterSeconds(600).SetSparse(true)},
	}
	db := connect(t, serve(t, server.Config{ExpireEvery: 5 * time.Millisecond}).Addr()).Database("ttl")
	ctx := deadline(t)
	for name, index := range indexes {
		t.Run(name, func(t *testing.T) {
			coll := db.Collection(name)
			_, err := coll.Indexes().CreateOne(ctx, index)
			must(t, err)
			left := int64(0)
			for _, test := range tests {
				doc := bson.D{{"_id", test.name}}
				if test.exp != nil {
					doc = append(doc, bson.E{Key: "exp", Value: test.exp})
				}
				_, err := coll.InsertOne(ctx, doc)
				must(t, err)
				if !test.expires {
					left++
				}
			}
			// One pass of the TTL monitor deletes everything that is due. Once this
			// document is gone, the others that are due are gone too.
			_, err = coll.InsertOne(ctx, bson.D{{"_id", "mark"}, {"exp", past}})
			must(t, err)
			eventually(t, "the expired documents are deleted", func() bool {
				n, err := coll.CountDocuments(ctx, bson.D{})
				return err == nil && n <= left
			})
			for _, test := range tests {
				n, err := coll.CountDocuments(ctx, bson.D{{"_id", test.name}})
				must(t, err)
				if got := n == 0; got != test.expires {
					t.Errorf("%s: got expired %v, want %v", test.name, got, test.expires)
				}
			}
			checkIndexes(t, coll)
			// An update can make a document expire.
			_, err = coll.UpdateOne(ctx, bson.D{{"_id", "future"}}, bson.D{{"$set", bson.D{{"exp", past}}}})
			must(t, err)
			eventually(t, "the updated document is deleted", func() bool {
				n, err := coll.CountDocuments(ctx, bson.D{{"_id", "future"}})
				return err == nil && n == 0
			})
		})
	}
	t.Run("partial", func(t *testing.T) {
		coll := db.Collection("partial")
		_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"exp", 1}}, Options: options.Index().SetExpireAfterSeconds(0).SetPartialFilterExpression(bson.D{{"p", bson.D{{"$gt", 0}}}})})
		must(t, err)
		_, err = coll.InsertMany(ctx, []any{bson.D{{"_id", "out"}, {"p", 0}, {"exp", past}}, bson.D{{"_id", "in"}, {"p", 1}, {"exp", past}}})
		must(t, err)
		eventually(t, "the expired document is deleted", func() bool {
			n, err := coll.CountDocuments(ctx, bson.D{{"_id", "in"}})
			return err == nil && n == 0
		})
		n, err := coll.CountDocuments(ctx, bson.D{})
		must(t, err)
		if n != 1 {
			t.Errorf("got %d remaining documents, want 1: the one outside the partial index", n)
		}
		checkIndexes(t, coll)
	})
}

// TestTTLUnderConcurrentWrites expires documents while writers insert them,
// extend their lifetime and make them due. The TTL monitor must delete every
// document that is due and no other one. There are more due documents than one
// batch deletes.
func TestTTLUnderConcurrentWrites(t *testing.T) {
	const writers, each = 6, 150
	coll := connect(t, serve(t, server.Config{ExpireEvery: 2 * time.Millisecond}).Addr()).Database("ttl").Collection("docs")
	ctx := deadline(t)
	_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"exp", 1}}, Options: options.Index().SetExpireAfterSeconds(0)})
	must(t, err)
	_, err = coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"u", 1}}, Options: options.Index().SetUnique(true)})
	must(t, err)
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	var many []any
	for i := range 1500 {
		many = append(many, bson.D{{"_id", fmt.Sprint("many", i)}, {"u", fmt.Sprint("many", i)}, {"exp", past}})
	}
	_, err = coll.InsertMany(ctx, many)
	must(t, err)
	var kept atomic.Int64
	parallel(writers, func(w int) {
		for i := range each {
			id := fmt.Sprint(w, "-", i)
			doc := bson.D{{"_id", id}, {"u", id}, {"exp", future}}
			if i%3 == 0 {
				doc[2].Value = past
			}
			if _, err := coll.InsertOne(ctx, doc); err != nil {
				t.Error(err)
			}
			switch i % 3 {
			case 0: // the document may expire before it is extended; then the update matches nothing
				res, err := coll.UpdateOne(ctx, bson.D{{"_id", id}}, bson.D{{"$set", bson.D{{"exp", future}}}})
				if err != nil {
					t.Error(err)
				} else {
					kept.Add(res.MatchedCount)
				}
			case 1:
				if _, err := coll.UpdateOne(ctx, bson.D{{"_id", id}}, bson.D{{"$set", bson.D{{"exp", past}}}}); err != nil {
					t.Error(err)
				}
			case 2:
				kept.Add(1)
			}
		}
	})
	eventually(t, "only documents that are not due remain", func() bool {
		n, err := coll.CountDocuments(ctx, bson.D{})
		return err == nil && n == kept.Load()
	})
	n, err := coll.CountDocuments(ctx, bson.D{{"exp", bson.D{{"$gt", time.Now()}}}})
	must(t, err)
	if n != kept.Load() {
		t.Errorf("got %d documents that are not due, want %d", n, kept.Load())
	}
	checkIndexes(t, coll)
}
