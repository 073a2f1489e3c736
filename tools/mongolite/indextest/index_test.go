package indextest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	bsonv2 "go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// connect starts a server and returns its database "t" through the driver.
func connect(t *testing.T) *mongo.Database {
	t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + startServer(t) + "/?directConnection=true"))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Disconnect(context.Background()); err != nil {
			t.Errorf("disconnect: %v", err)
		}
	})
	return c.Database("t")
}

// TestListIndexesReturnsIndexesAsCreated creates, lists and drops indexes through
// the driver.
func TestListIndexesReturnsIndexesAsCreated(t *testing.T) {
	ctx, coll := t.Context(), connect(t).Collection("listed")
	partial := bsonv2.D{{Key: "b", Value: bsonv2.D{{Key: "$gt", Value: int32(1)}}}}
	names, err := coll.Indexes().CreateMany(ctx, []mongo.IndexModel{
		{Keys: bsonv2.D{{Key: "a", Value: 1}}},
		{Keys: bsonv2.D{{Key: "a", Value: -1}, {Key: "b.c", Value: 1}}, Options: options.Index().SetUnique(true).SetName("two")},
		{Keys: bsonv2.D{{Key: "s", Value: 1}}, Options: options.Index().SetSparse(true)},
		{Keys: bsonv2.D{{Key: "p", Value: 1}}, Options: options.Index().SetPartialFilterExpression(partial)},
		{Keys: bsonv2.D{{Key: "t", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(60)},
	})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	if got, want := strings.Join(names, " "), "a_1 two s_1 p_1 t_1"; got != want {
		t.Errorf("names of the created indexes: got %q, want %q", got, want)
	}
	cur, err := coll.Indexes().List(ctx)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var got []bsonv2.D
	if err := cur.All(ctx, &got); err != nil {
		t.Fatalf("list: %v", err)
	}
	v := bsonv2.E{Key: "v", Value: int32(2)}
	e := func(key string, v any) bsonv2.E { return bsonv2.E{Key: key, Value: v} }
	k := func(name string, dir int32) bsonv2.E { return bsonv2.E{Key: name, Value: dir} }
	want := []bsonv2.D{
		{v, e("key", bsonv2.D{k("_id", 1)}), e("name", "_id_")},
		{v, e("key", bsonv2.D{k("a", 1)}), e("name", "a_1")},
		{v, e("key", bsonv2.D{k("a", -1), k("b.c", 1)}), e("name", "two"), e("unique", true)},
		{v, e("key", bsonv2.D{k("s", 1)}), e("name", "s_1"), e("sparse", true)},
		{v, e("key", bsonv2.D{k("p", 1)}), e("name", "p_1"), e("partialFilterExpression", partial)},
		{v, e("key", bsonv2.D{k("t", 1)}), e("name", "t_1"), e("expireAfterSeconds", int32(60))},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("list: got %v, want %v", got, want)
	}
	// Creating the same index again succeeds and changes nothing.
	if _, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bsonv2.D{{Key: "a", Value: 1}}}); err != nil {
		t.Errorf("create again: %v", err)
	}
	if err := coll.Indexes().DropOne(ctx, "two"); err != nil {
		t.Errorf("drop by name: %v", err)
	}
	if err := coll.Indexes().DropWithKey(ctx, bsonv2.D{{Key: "s", Value: int32(1)}}); err != nil {
		t.Errorf("drop by key: %v", err)
	}
	if err := coll.Indexes().DropAll(ctx); err != nil {
		t.Errorf("drop all: %v", err)
	}
	specs, err := coll.Indexes().ListSpecifications(ctx)
	if err != nil || len(specs) != 1 || specs[0].Name != "_id_" {
		t.Errorf("indexes after drop all: got %v and the error %v, want only _id_", specs, err)
	}
}

// TestInvalidIndexIsRefused tries to create invalid and unsupported indexes, and
// to drop and list indexes that do not exist. The error must name the reason, and
// the existing indexes must stay as they are.
func TestInvalidIndexIsRefused(t *testing.T) {
	c := dial(t, startServer(t))
	partial := func(filter bson.D) bson.E { return bson.E{Key: "partialFilterExpression", Value: filter} }
	set := func(name string) bson.E { return bson.E{Key: name, Value: true} }
	for _, test := range []struct {
		name    string
		index   string
		key     bson.D
		options bson.D
		code    int32
		names   string // must be part of the message
	}{
		{"same name and key, other options", "a_1", key("a"), d{set("unique")}, 85, "a_1"},
		{"same key, other name", "other", key("a"), nil, 85, "a_1"},
		{"same name, other key", "a_1", key("b"), nil, 86, "a_1"},
		{"empty key", "x", d{}, nil, 67, ""},
		{"direction 0", "x", d{{Key: "x", Value: int32(0)}}, nil, 67, "x"},
		{"direction is not a number", "x", d{{Key: "x", Value: true}}, nil, 67, "x"},
		{"empty path part", "x", key("x..y"), nil, 67, ""},
		{"path begins with a dollar", "x", key("$x"), nil, 67, "$"},
		{"sparse and partial", "x", key("x"), d{set("sparse"), partial(key("y"))}, 67, "sparse"},
		{"partial by $ne", "x", key("x"), d{partial(d{{Key: "y", Value: op("$ne", int32(1))}})}, 67, "$ne"},
		{"partial by $exists false", "x", key("x"), d{partial(d{{Key: "y", Value: op("$exists", false)}})}, 67, "$exists"},
		{"TTL on two fields", "x", key("x", "y"), d{{Key: "expireAfterSeconds", Value: int32(1)}}, 67, "TTL"},
		{"sparse _id", "x", key("_id"), d{set("sparse")}, 197, "_id"},
		{"partial _id", "x", key("_id"), d{partial(key("y"))}, 197, "_id"},
		{"text", "x", d{{Key: "x", Value: "text"}}, nil, 238, "text"},
		{"2dsphere", "x", d{{Key: "x", Value: "2dsphere"}}, nil, 238, "2dsphere"},
		{"hashed", "x", d{{Key: "x", Value: "hashed"}}, nil, 238, "hashed"},
		{"wildcard", "x", key("$**"), nil, 238, "wildcard"},
		{"wildcard below a path", "x", key("x.$**"), nil, 238, "wildcard"},
		{"collation", "x", key("x"), d{{Key: "collation", Value: d{{Key: "locale", Value: "de"}}}}, 238, "collation"},
		{"hidden", "x", key("x"), d{set("hidden")}, 238, "hidden"},
		{"unknown option", "x", key("x"), d{set("nosuch")}, 197, "nosuch"},
		{"no name", "", key("x"), nil, 9, "name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			coll := strings.NewReplacer(" ", "_", "$", "").Replace(test.name)
			if err := c.createIndex(coll, "a_1", key("a")); err != nil {
				t.Fatalf("create the first index: %v", err)
			}
			err := c.createIndex(coll, test.index, test.key, test.options...)
			checkCode(t, err, test.code)
			if err != nil && !strings.Contains(err.Error(), test.names) {
				t.Errorf("got the error %q, want one that names %s", err, test.names)
			}
			if got := indexNames(t, c, coll); got != "_id_ a_1" {
				t.Errorf("got the indexes %s, want _id_ a_1", got)
			}
		})
	}
	c.insert(t, "drops", d{{Key: "_id", Value: int32(1)}})
	for _, test := range []struct {
		coll  string
		index any
		code  int32
	}{{"drops", "nosuch", 27}, {"drops", key("nosuch"), 27}, {"drops", "_id_", 72}, {"drops", key("_id"), 72}, {"none", "*", 26}} {
		_, err := c.run(d{{Key: "dropIndexes", Value: test.coll}, {Key: "index", Value: test.index}})
		checkCode(t, err, test.code)
	}
	_, err := c.run(d{{Key: "listIndexes", Value: "none"}})
	checkCode(t, err, 26)
}

// indexNames returns the names of a collection's indexes, separated by spaces.
func indexNames(t *testing.T, c *client, coll string) string {
	t.Helper()
	reply := c.must(t, d{{Key: "listIndexes", Value: coll}})
	var names []string
	for _, ix := range lookup(reply, "cursor", "firstBatch").(bson.A) {
		names = append(names, lookup(ix.(bson.D), "name").(string))
	}
	return strings.Join(names, " ")
}

// TestUniqueIndexRefusesDuplicateKeys checks which pairs of documents a unique
// index allows. It tries each pair with an existing index and with an index that
// is created after the documents.
func TestUniqueIndexRefusesDuplicateKeys(t *testing.T) {
	c := dial(t, startServer(t))
	sparse := bson.E{Key: "sparse", Value: true}
	partial := bson.E{Key: "partialFilterExpression", Value: d{{Key: "on", Value: true}}}
	doc := func(v any, more ...bson.E) bson.D { return append(d{{Key: "a", Value: v}}, more...) }
	on := bson.E{Key: "on", Value: true}
	for _, test := range []struct {
		name    string
		key     bson.D
		options bson.D
		first   bson.D
		second  bson.D
		value   bson.D // the duplicate key, nil if the pair is allowed
	}{
		{"equal", key("a"), nil, doc("x"), doc("x"), doc("x")},
		{"equal numbers of two types", key("-a"), nil, doc(int32(1)), doc(1.0), doc(1.0)},
		{"different", key("a"), nil, doc("x"), doc("y"), nil},
		{"both without the field", key("a"), nil, d{}, d{}, doc(nil)},
		{"null and missing", key("a"), nil, doc(nil), d{}, doc(nil)},
		{"compound, one differs", key("a", "b"), nil, doc(int32(1), key("b")...), doc(int32(1)), nil},
		{"compound, equal", key("a", "-b"), nil, doc(int32(1), key("b")...), doc(int64(1), key("b")...), d{{Key: "a", Value: int64(1)}, {Key: "b", Value: int32(1)}}},
		{"sparse, both without the field", key("a"), d{sparse}, d{}, d{}, nil},
		{"sparse, both null", key("a"), d{sparse}, doc(nil), doc(nil), doc(nil)},
		{"partial, one document outside", key("a"), d{partial}, doc("x", on), doc("x"), nil},
		{"partial, both inside", key("a"), d{partial}, doc("x", on), doc("x", on), doc("x")},
		{"arrays with a common element", key("a"), nil, doc(a{int32(1), int32(2)}), doc(a{int32(2), int32(3)}), doc(int32(2))},
		{"an array and its element", key("a"), nil, doc(a{int32(1), int32(2)}), doc(int32(1)), doc(int32(1))},
		{"duplicate elements in one array", key("a"), nil, doc(a{int32(1), int32(1)}), doc(int32(2)), nil},
		{"empty arrays", key("a"), nil, doc(a{}), doc(a{}), doc(a{})},
		{"dotted path", key("a.b"), nil, doc(key("b")), doc(key("b")), d{{Key: "a.b", Value: int32(1)}}},
		{"documents in arrays", key("a.b"), nil, doc(a{key("b"), key("c")}), doc(key("b")), d{{Key: "a.b", Value: int32(1)}}},
		{"documents in arrays without the field", key("a.b"), nil, doc(a{key("b"), key("c")}), doc(key("c")), d{{Key: "a.b", Value: nil}}},
		{"two fields of different elements", key("a.b", "a.c"), nil, doc(a{key("b", "c"), key("-b", "-c")}), doc(key("b", "-c")), nil},
		{"two fields of one element", key("a.b", "a.c"), nil, doc(a{key("b", "c"), key("-b", "-c")}), doc(key("-b", "-c")), d{{Key: "a.b", Value: int32(-1)}, {Key: "a.c", Value: int32(-1)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := append(d{{Key: "unique", Value: true}}, test.options...)
			first := append(d{{Key: "_id", Value: int32(1)}}, test.first...)
			second := append(d{{Key: "_id", Value: int32(2)}}, test.second...)
			defer c.must(t, d{{Key: "dropDatabase", Value: int32(1)}})

			if err := c.createIndex("before", "ix", test.key, options...); err != nil {
				t.Fatalf("create: %v", err)
			}
			c.insert(t, "before", first)
			_, err := c.run(d{{Key: "insert", Value: "before"}, {Key: "documents", Value: a{second}}})
			checkDuplicateKey(t, "insert", err, test.key, test.value)
			_, err = c.run(d{{Key: "update", Value: "before"}, {Key: "updates", Value: a{d{{Key: "q", Value: second[:1]}, {Key: "u", Value: second}, {Key: "upsert", Value: true}}}}})
			checkDuplicateKey(t, "upsert", err, test.key, test.value)
			c.must(t, d{{Key: "delete", Value: "before"}, {Key: "deletes", Value: a{d{{Key: "q", Value: second[:1]}, {Key: "limit", Value: int32(0)}}}}})
			_, err = c.run(d{{Key: "update", Value: "before"}, {Key: "updates", Value: a{d{{Key: "q", Value: first[:1]}, {Key: "u", Value: first}}}}})
			checkDuplicateKey(t, "update to itself", err, test.key, nil)

			// Now create the index after the documents.
			c.insert(t, "after", first, second)
			err = c.createIndex("after", "ix", test.key, options...)
			checkDuplicateKey(t, "index build", err, test.key, test.value)
			want := "_id_ ix"
			if test.value != nil {
				want = "_id_"
			}
			if got := indexNames(t, c, "after"); got != want {
				t.Errorf("indexes after the build: got %s, want %s", got, want)
			}
			if test.value != nil { // the failed build must have left nothing behind
				c.must(t, d{{Key: "delete", Value: "after"}, {Key: "deletes", Value: a{d{{Key: "q", Value: second[:1]}, {Key: "limit", Value: int32(1)}}}}})
				if err := c.createIndex("after", "ix", test.key, options...); err != nil {
					t.Errorf("index build without the second document: %v", err)
				}
			}
		})
	}
}

// checkDuplicateKey fails the test unless err is a duplicate key error with the
// given key pattern and value. If value is nil, err must be nil.
func checkDuplicateKey(t *testing.T, what string, err error, pattern, value bson.D) {
	t.Helper()
	if value == nil {
		if err != nil {
			t.Errorf("%s: got %v, want no error", what, err)
		}
		return
	}
	var refused *commandError
	if !errors.As(err, &refused) || refused.Code != 11000 {
		t.Errorf("%s: got %v, want a duplicate key error", what, err)
		return
	}
	if got := lookup(refused.Reply, "keyPattern"); !same(got, pattern) {
		t.Errorf("%s: keyPattern: got %v, want %v", what, got, pattern)
	}
	if got := lookup(refused.Reply, "keyValue"); !same(got, value) {
		t.Errorf("%s: keyValue: got %v, want %v", what, got, value)
	}
}

// TestDriverRecognizesDuplicateKeyErrors provokes a duplicate key error with
// every kind of write.
func TestDriverRecognizesDuplicateKeyErrors(t *testing.T) {
	ctx, coll := t.Context(), connect(t).Collection("users")
	if _, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bsonv2.D{{Key: "mail", Value: 1}}, Options: options.Index().SetUnique(true)}); err != nil {
		t.Fatal(err)
	}
	mail := bsonv2.D{{Key: "mail", Value: "a@example.org"}}
	if _, err := coll.InsertOne(ctx, append(bsonv2.D{{Key: "_id", Value: 1}}, mail...)); err != nil {
		t.Fatal(err)
	}
	if _, err := coll.InsertOne(ctx, bsonv2.D{{Key: "_id", Value: 2}}); err != nil {
		t.Fatal(err)
	}
	set := bsonv2.D{{Key: "$set", Value: mail}}
	two := bsonv2.D{{Key: "_id", Value: 2}}
	attempts := map[string]func() error{
		"insert":            func() error { _, err := coll.InsertOne(ctx, mail); return err },
		"insert of the _id": func() error { _, err := coll.InsertOne(ctx, two); return err },
		"insert many":       func() error { _, err := coll.InsertMany(ctx, []any{mail, mail}); return err },
		"update":            func() error { _, err := coll.UpdateOne(ctx, two, set); return err },
		"upsert": func() error {
			_, err := coll.UpdateOne(ctx, bsonv2.D{{Key: "_id", Value: 3}}, set, options.UpdateOne().SetUpsert(true))
			return err
		},
		"replace":             func() error { _, err := coll.ReplaceOne(ctx, two, mail); return err },
		"find one and update": func() error { return coll.FindOneAndUpdate(ctx, two, set).Err() },
		"bulk write": func() error {
			_, err := coll.BulkWrite(ctx, []mongo.WriteModel{mongo.NewInsertOneModel().SetDocument(mail)}, options.BulkWrite().SetOrdered(false))
			return err
		},
	}
	for name, attempt := range attempts {
		err := attempt()
		if !mongo.IsDuplicateKeyError(err) {
			t.Errorf("%s: got %v, want a duplicate key error", name, err)
		}
		if want := "E11000 duplicate key error collection: t.users index: "; err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a message that contains %q", name, err, want)
		}
	}
	n, err := coll.CountDocuments(ctx, bsonv2.D{})
	if err != nil || n != 2 {
		t.Errorf("got %d documents and the error %v, want 2", n, err)
	}
}

// TestIndexRefusesParallelArrays checks that no document may have arrays in two
// columns of an index.
func TestIndexRefusesParallelArrays(t *testing.T) {
	c := dial(t, startServer(t))
	two := a{int32(1), int32(2)}
	both := d{{Key: "_id", Value: int32(1)}, {Key: "a", Value: two}, {Key: "b", Value: two}}
	if err := c.createIndex("before", "ix", key("a", "b")); err != nil {
		t.Fatal(err)
	}
	_, err := c.run(d{{Key: "insert", Value: "before"}, {Key: "documents", Value: a{both}}})
	checkCode(t, err, 171)
	c.insert(t, "before", both[:2])
	_, err = c.run(d{{Key: "update", Value: "before"}, {Key: "updates", Value: a{d{{Key: "q", Value: both[:1]}, {Key: "u", Value: op("$set", both[2:])}}}}})
	checkCode(t, err, 171)
	c.insert(t, "after", both)
	checkCode(t, c.createIndex("after", "ix", key("a", "b")), 171)
	if got := indexNames(t, c, "after"); got != "_id_" {
		t.Errorf("got the indexes %s, want _id_", got)
	}
	// Two columns may lead through the same array of documents.
	c.insert(t, "items", d{{Key: "_id", Value: int32(1)}, {Key: "a", Value: a{key("b", "c"), key("-b", "-c")}}})
	if err := c.createIndex("items", "ix", key("a.b", "a.c")); err != nil {
		t.Errorf("two fields of one array: %v", err)
	}
}

// TestIndexBecomesMultikey checks that the planner notices when an index receives
// its first array. It must then no longer intersect the bounds of two conditions.
func TestIndexBecomesMultikey(t *testing.T) {
	c := dial(t, startServer(t))
	if err := c.createIndex("turn", "ix", key("a")); err != nil {
		t.Fatal(err)
	}
	c.insert(t, "turn", d{{Key: "_id", Value: int32(1)}, {Key: "a", Value: int32(5)}})
	find := d{{Key: "find", Value: "turn"}, {Key: "filter", Value: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(10)}, {Key: "$lt", Value: int32(2)}}}}}}
	multikey := func() any {
		reply := c.must(t, d{{Key: "explain", Value: find}})
		return lookup(reply, "queryPlanner", "winningPlan", "inputStage", "isMultiKey")
	}
	if got := multikey(); got != false {
		t.Errorf("isMultiKey without arrays: got %v, want false", got)
	}
	c.must(t, d{{Key: "update", Value: "turn"}, {Key: "updates", Value: a{d{{Key: "q", Value: d{{Key: "_id", Value: int32(1)}}}, {Key: "u", Value: op("$set", d{{Key: "a", Value: a{int32(1), int32(20)}}})}}}}})
	if got := multikey(); got != true {
		t.Errorf("isMultiKey with an array: got %v, want true", got)
	}
	docs, err := c.documents(find)
	if err != nil || len(docs) != 1 {
		t.Errorf("find: got %d documents and the error %v, want 1: two of its elements meet the conditions", len(docs), err)
	}
	// The index stays multikey without arrays. A new index on the same key is not.
	c.must(t, d{{Key: "update", Value: "turn"}, {Key: "updates", Value: a{d{{Key: "q", Value: d{}}, {Key: "u", Value: op("$set", key("a"))}}}}})
	if got := multikey(); got != true {
		t.Errorf("isMultiKey after the array was replaced: got %v, want true", got)
	}
	c.must(t, d{{Key: "dropIndexes", Value: "turn"}, {Key: "index", Value: "ix"}})
	if err := c.createIndex("turn", "ix", key("a")); err != nil {
		t.Fatal(err)
	}
	if got := multikey(); got != false {
		t.Errorf("isMultiKey of the new index: got %v, want false", got)
	}
}

// TestOnlyColumnsWithArraysAreMultikey checks that the planner notices each further
// column of an index that receives an array.
func TestOnlyColumnsWithArraysAreMultikey(t *testing.T) {
	c := dial(t, startServer(t))
	if err := c.createIndex("columns", "ix", key("tags", "b")); err != nil {
		t.Fatal(err)
	}
	c.insert(t, "columns", d{{Key: "_id", Value: int32(1)}, {Key: "tags", Value: a{"x", "y"}}, {Key: "b", Value: int32(5)}})
	find := d{{Key: "find", Value: "columns"}, {Key: "filter", Value: d{{Key: "tags", Value: "x"}, {Key: "b", Value: d{{Key: "$gt", Value: int32(10)}, {Key: "$lt", Value: int32(20)}}}}}, {Key: "sort", Value: key("b")}}
	if p := readPlan(c.must(t, d{{Key: "explain", Value: find}})); p.hasSort {
		t.Error("b without arrays: got a sort in memory, want the order of the index")
	}
	c.insert(t, "columns", d{{Key: "_id", Value: int32(2)}, {Key: "tags", Value: "x"}, {Key: "b", Value: a{int32(1), int32(30)}}})
	if p := readPlan(c.must(t, d{{Key: "explain", Value: find}})); !p.hasSort {
		t.Error("b with an array: got the order of the index, want a sort in memory")
	}
	docs, err := c.documents(find)
	if err != nil || len(docs) != 1 || lookup(docs[0], "_id") != int32(2) {
		t.Errorf("find: got %v and the error %v, want the document 2: two of its elements meet the conditions", docs, err)
	}
}

// TestIndexBuildsUnderConcurrentWrites creates and drops indexes while documents
// are inserted, updated and deleted. In the end the indexes and the documents must
// agree.
func TestIndexBuildsUnderConcurrentWrites(t *testing.T) {
	addr := startServer(t)
	const writers, writes, builds = 4, 150, 10
	var wg sync.WaitGroup
	for n := range writers {
		c := dial(t, addr)
		wg.Go(func() {
			for i := range int32(writes) {
				id := d{{Key: "_id", Value: int32(n)*writes + i}}
				var v any = i % 7
				if i%5 == 0 {
					v = a{i % 7, i % 3}
				}
				for _, cmd := range []bson.D{
					{{Key: "insert", Value: "busyx"}, {Key: "documents", Value: a{append(id, bson.E{Key: "a", Value: v})}}},
					{{Key: "update", Value: "busyx"}, {Key: "updates", Value: a{d{{Key: "q", Value: d{{Key: "a", Value: i % 7}, {Key: "_id", Value: op("$gte", int32(n)*writes)}}}, {Key: "u", Value: op("$set", d{{Key: "b", Value: i}})}, {Key: "multi", Value: i%10 == 0}}}}},
					{{Key: "delete", Value: "busyx"}, {Key: "deletes", Value: a{d{{Key: "q", Value: d{{Key: "_id", Value: int32(n)*writes + i - 20}}}, {Key: "limit", Value: i % 2}}}}},
				} {
					if _, err := c.run(cmd); err != nil {
						t.Errorf("%s: %v", extJSON(cmd), err)
						return
					}
				}
			}
		})
	}
	keys := []bson.D{key("a"), key("b", "-a"), key("-b"), key("a", "_id")}
	for n := range 2 {
		c := dial(t, addr)
		wg.Go(func() {
			for i := range builds {
				name := fmt.Sprint("ix", n)
				if err := c.createIndex("busyx", name, keys[(n*2+i%2)%4]); err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if i < builds-1 {
					if _, err := c.run(d{{Key: "dropIndexes", Value: "busyx"}, {Key: "index", Value: name}}); err != nil {
						t.Errorf("drop: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	c := dial(t, addr)
	cs := &collections{c: c, name: "busy"}
	var err error
	if cs.docs, err = c.documents(d{{Key: "find", Value: "busyx"}}); err != nil || len(cs.docs) == 0 {
		t.Fatalf("got %d documents and the error %v, want some documents", len(cs.docs), err)
	}
	for n := range 2 {
		ix, err := newIndex(fmt.Sprint("ix", n), keys[(n*2+(builds-1)%2)%4], nil)
		if err != nil {
			t.Fatal(err)
		}
		cs.indexes = append(cs.indexes, ix)
	}
	if err := cs.verifyIndexes(); err != nil {
		t.Error(err)
	}
}
