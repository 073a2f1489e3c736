package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	killCount    = 100
	killWriters  = 6
	idsPerWriter = 40 // only one writer writes a given _id
	groupSize    = 12 // number of documents that one updateMany changes
)

// killTest repeatedly starts a server on one data directory, writes to it and
// kills it. It counts acknowledged writes and writes in doubt.
type killTest struct {
	t      *testing.T
	dir    string
	addr   string
	server *process

	ledgers []*ledger // by writer
	stock   struct {
		sold, inDoubt atomic.Int64 // decrements of one counter by all writers
	}
	groups       []struct{ acked, inDoubt int64 } // increments of a whole group, by writer
	raw          *rawWriter
	acked        atomic.Int64 // all writes
	inDoubt      atomic.Int64
	slowestStart time.Duration
	checkTime    time.Duration // total time of the checks
}

// TestAcknowledgedWritesSurviveKill kills the server a hundred times at random
// moments under load, and restarts it on the same data directory. The test
// records which writes were acknowledged and which are in doubt, that is, were
// interrupted by the kill. After each restart
//
//   - no acknowledged write is missing,
//   - each statement in doubt took effect completely or not at all, and
//   - every index agrees with its documents.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	k := &killTest{t: t, dir: t.TempDir(), addr: freePort(t)}
	k.server = start(t, k.addr, k.dir)
	k.prepare()
	retrying := k.startRetrying(2)
	for kill := range killCount {
		retries := kill%4 == 0
		if retries {
			retrying.resume()
		}
		k.load(time.Duration(60+rand.IntN(140)) * time.Millisecond)
		began := time.Now()
		k.server = start(t, k.addr, k.dir)
		k.slowestStart = max(k.slowestStart, time.Since(began))
		began = time.Now()
		if out := k.server.stderr.String(); out != "" {
			t.Fatalf("kill %d: stderr of the restarted server: got %q, want nothing", kill, out)
		}
		k.check(kill)
		k.checkTime += time.Since(began)
		if retries {
			retrying.pause()
		}
		if t.Failed() {
			t.Fatalf("the checks failed after kill %d", kill)
		}
	}
	retrying.finish()
	t.Logf("%d writes acknowledged, %d in doubt, %d retried by the driver after a kill, %d resent by the test; slowest start %v, checks %v",
		k.acked.Load(), k.inDoubt.Load(), retrying.retried, k.raw.resent, k.slowestStart, k.checkTime)
	if k.inDoubt.Load() == 0 || retrying.retried == 0 || k.raw.resent == 0 {
		t.Error("a kind of write was never interrupted by a kill, want each kind at least once")
	}
}

// prepare creates the collections and indexes and inserts the initial documents.
func (k *killTest) prepare() {
	t := k.t
	ctx := deadline(t)
	db := connect(t, k.addr).Database("kill")
	index := func(coll string, keys bson.D, o *options.IndexOptionsBuilder) {
		_, err := db.Collection(coll).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: keys, Options: o})
		must(t, err)
	}
	for _, coll := range []string{"items", "more"} {
		index(coll, bson.D{{"u", 1}}, options.Index().SetUnique(true))
		index(coll, bson.D{{"tags", 1}}, options.Index())
		index(coll, bson.D{{"s", -1}}, options.Index().SetSparse(true))
		index(coll, bson.D{{"p", 1}, {"v", -1}}, options.Index().SetPartialFilterExpression(bson.D{{"p", bson.D{{"$gt", 0}}}}))
		index(coll, bson.D{{"exp", 1}}, options.Index().SetExpireAfterSeconds(0))
	}
	index("groups", bson.D{{"g", 1}, {"n", 1}}, options.Index())
	index("groups", bson.D{{"n", -1}}, options.Index())
	k.groups = make([]struct{ acked, inDoubt int64 }, killWriters)
	for i := range killWriters {
		k.ledgers = append(k.ledgers, &ledger{acked: map[int64]int64{}, inDoubt: map[int64][]int64{}})
		for j := range groupSize {
			_, err := db.Collection("groups").InsertOne(ctx, bson.D{{"_id", i*groupSize + j}, {"g", i}, {"n", 0}})
			must(t, err)
		}
	}
	_, err := db.Collection("stock").InsertOne(ctx, bson.D{{"_id", 1}, {"a", 1 << 40}, {"sold", 0}})
	must(t, err)
	k.raw = &rawWriter{session: bson.NewObjectID()}
	_, err = db.Collection("raw").InsertOne(ctx, bson.D{{"_id", 1}, {"n", 0}, {"m", 0}})
	must(t, err)
}

// load runs all writers for d and then kills the server.
func (k *killTest) load(d time.Duration) {
	t := k.t
	client := connect(t, k.addr, options.Client().SetRetryWrites(false))
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	db := client.Database("kill")
	var dead atomic.Bool
	var wg sync.WaitGroup
	for i := range killWriters {
		wg.Go(func() {
			for !dead.Load() {
				if err := k.step(ctx, db, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() { k.raw.run(k.addr, &dead) })
	<-time.After(d) // no assertion depends on this duration
	k.server.kill(t)
	dead.Store(true)
	cancel() // release writers that wait for a server
	within(t, "writers after the kill", wg.Wait)
	_ = client.Disconnect(ctx) // fails, because the server is dead
}

// step carries out one random write of writer i. It returns an error if the
// result contradicts the writer's ledger.
func (k *killTest) step(ctx context.Context, db *mongo.Database, i int) error {
	l := k.ledgers[i]
	id := int64(i*idsPerWriter + rand.IntN(idsPerWriter))
	coll := db.Collection("items")
	if id%4 == 3 {
		coll = db.Collection("more")
	}
	if len(l.inDoubt[id]) > 0 {
		return nil // in doubt until the next check
	}
	now, v := l.acked[id], l.version()
	filter := bson.D{{"_id", id}, {"v", now}}
	var err error
	switch kind := rand.IntN(10); {
	case kind == 0:
		return k.sell(ctx, db.Collection("stock"))
	case kind == 1:
		return k.updateGroup(ctx, db.Collection("groups"), i)
	case kind == 2 && now == 0:
		return k.insertMany(ctx, db, i, v)
	case kind == 3 && now > 0:
		return k.bulkUpdate(ctx, db, i, v)
	case now == 0 && kind < 6:
		_, err = coll.InsertOne(ctx, item(id, v))
	case now == 0:
		_, err = coll.UpdateOne(ctx, bson.D{{"_id", id}}, updateTo(id, v), options.UpdateOne().SetUpsert(true))
	case kind == 4:
		var res *mongo.DeleteResult
		if res, err = coll.DeleteOne(ctx, filter); err == nil && res.DeletedCount != 1 {
			return fmt.Errorf("delete of document %d at version %d: got %d deleted, want 1", id, now, res.DeletedCount)
		}
		v = 0
	case kind == 5:
		var old bson.Raw
		if old, err = coll.FindOneAndDelete(ctx, filter).Raw(); err == nil && !same(old, item(id, now)) {
			return fmt.Errorf("findAndModify with remove: got %v, want version %d", old, now)
		}
		v = 0
	case kind == 6:
		var old bson.Raw
		if old, err = coll.FindOneAndUpdate(ctx, filter, updateTo(id, v)).Raw(); err == nil && !same(old, item(id, now)) {
			return fmt.Errorf("findAndModify with update: got %v, want version %d", old, now)
		}
	case kind == 7:
		_, err = coll.ReplaceOne(ctx, filter, item(id, v))
	default:
		var res *mongo.UpdateResult
		if res, err = coll.UpdateOne(ctx, filter, updateTo(id, v)); err == nil && res.ModifiedCount != 1 {
			return fmt.Errorf("update of document %d at version %d: got %d modified, want 1", id, now, res.ModifiedCount)
		}
	}
	if errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("findAndModify of document %d: got no document, want version %d", id, now)
	}
	k.count(err)
	return l.record(err, v, id)
}

// count counts a write as acknowledged or in doubt.
func (k *killTest) count(err error) {
	if err == nil {
		k.acked.Add(1)
	} else {
		k.inDoubt.Add(1)
	}
}

// sell decrements the counter that all writers share.
func (k *killTest) sell(ctx context.Context, coll *mongo.Collection) error {
	res, err := coll.UpdateOne(ctx, bson.D{{"_id", 1}, {"a", bson.D{{"$gt", 0}}}}, bson.D{{"$inc", bson.D{{"a", -1}, {"sold", 1}}}})
	k.count(err)
	if err != nil {
		k.stock.inDoubt.Add(1)
		return unexpected(err)
	}
	k.stock.sold.Add(res.ModifiedCount)
	return nil
}

// updateGroup increments all documents of the writer's group in one statement.
func (k *killTest) updateGroup(ctx context.Context, coll *mongo.Collection, i int) error {
	res, err := coll.UpdateMany(ctx, bson.D{{"g", i}}, bson.D{{"$inc", bson.D{{"n", 1}}}})
	k.count(err)
	if err != nil {
		k.groups[i].inDoubt++
		return unexpected(err)
	}
	k.groups[i].acked++
	if res.ModifiedCount != groupSize {
		return fmt.Errorf("updateMany of a group: got %d modified, want %d", res.ModifiedCount, groupSize)
	}
	return nil
}

// insertMany inserts several documents with one command.
func (k *killTest) insertMany(ctx context.Context, db *mongo.Database, i int, v int64) error {
	ids := k.ledgers[i].settledIDs(i, 8, false)
	if len(ids) == 0 {
		return nil
	}
	var docs []any
	for _, id := range ids {
		docs = append(docs, item(id, v))
	}
	_, err := db.Collection("items").InsertMany(ctx, docs)
	k.count(err)
	return k.ledgers[i].record(err, v, ids...)
}

// bulkUpdate updates several documents with one command.
func (k *killTest) bulkUpdate(ctx context.Context, db *mongo.Database, i int, v int64) error {
	ids := k.ledgers[i].settledIDs(i, 8, true)
	if len(ids) == 0 {
		return nil
	}
	var models []mongo.WriteModel
	for _, id := range ids {
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{"_id", id}, {"v", k.ledgers[i].acked[id]}}).SetUpdate(updateTo(id, v)))
	}
	res, err := db.Collection("items").BulkWrite(ctx, models)
	if err == nil && res.ModifiedCount != int64(len(ids)) {
		return fmt.Errorf("bulk write of %d updates: got %d modified, want %d", len(ids), res.ModifiedCount, len(ids))
	}
	k.count(err)
	return k.ledgers[i].record(err, v, ids...)
}

// check compares the server's data with the ledgers. It then settles what was in
// doubt: the state that it found becomes the acknowledged one.
func (k *killTest) check(kill int) {
	t := k.t
	client := connect(t, k.addr)
	defer disconnect(client)
	db := client.Database("kill")
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()

	found := map[int64]bson.Raw{}
	for _, name := range []string{"items", "more"} {
		var docs []bson.Raw
		cur, err := db.Collection(name).Find(ctx, bson.D{})
		must(t, err)
		must(t, cur.All(ctx, &docs))
		for _, doc := range docs {
			found[doc.Lookup("_id").AsInt64()] = doc
		}
	}
	for i, l := range k.ledgers {
		for id := int64(i * idsPerWriter); id < int64((i+1)*idsPerWriter); id++ {
			raw := found[id]
			delete(found, id)
			var v int64
			if raw != nil {
				v, _ = raw.Lookup("v").AsInt64OK()
			}
			if v != l.acked[id] && !slices.Contains(l.inDoubt[id], v) || !same(raw, item(id, v)) {
				t.Errorf("document %d: got %v, want version %d or one in doubt of %v", id, raw, l.acked[id], l.inDoubt[id])
			}
			l.acked[id] = v
		}
		for _, c := range l.commands {
			for j, id := range c.ids {
				if j > 0 && l.acked[id] == c.version && l.acked[c.ids[j-1]] != c.version {
					t.Errorf("ordered command on %v: statement %d took effect although statement %d did not", c.ids, j, j-1)
				}
			}
		}
		clear(l.inDoubt)
		l.commands = nil
	}
	for id, doc := range found {
		t.Errorf("found document %d, which was never written: %v", id, doc)
	}

	var stock struct{ A, Sold int64 }
	must(t, db.Collection("stock").FindOne(ctx, bson.D{{"_id", 1}}).Decode(&stock))
	low := k.stock.sold.Load()
	if high := low + k.stock.inDoubt.Load(); stock.Sold < low || stock.Sold > high || stock.A+stock.Sold != 1<<40 {
		t.Errorf("stock: got %+v, want between %d and %d sold and a sum of %d", stock, low, high, int64(1)<<40)
	}
	k.stock.sold.Store(stock.Sold)
	k.stock.inDoubt.Store(0)

	for i := range k.groups {
		g := &k.groups[i]
		var members []struct{ N int64 }
		cur, err := db.Collection("groups").Find(ctx, bson.D{{"g", i}})
		must(t, err)
		must(t, cur.All(ctx, &members))
		for _, m := range members {
			if len(members) != groupSize || m.N != members[0].N || m.N < g.acked || m.N > g.acked+g.inDoubt {
				t.Errorf("group %d: got %v, want %d equal values between %d and %d", i, members, groupSize, g.acked, g.acked+g.inDoubt)
				break
			}
		}
		g.acked, g.inDoubt = members[0].N, 0
	}
	must(t, k.raw.settle(k.addr))
	checkIndexes(t, db.Collection("items"))
	checkIndexes(t, db.Collection([]string{"more", "groups"}[kill%2]))
}
