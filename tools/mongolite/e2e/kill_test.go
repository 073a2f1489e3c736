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
	killRounds   = 100
	killWriters  = 6
	idsPerWriter = 40 // each id is written by one writer only
	groupSize    = 12 // documents that one updateMany changes
)

// killWorld is one folder that is served, killed and served again.
type killWorld struct {
	t      *testing.T
	dir    string
	addr   string
	server *process

	ledgers []*ledger
	shared  struct {
		sold, doubts atomic.Int64 // decrements of one counter by all
	}
	groups []struct{ known, doubts int64 } // increments of whole groups, by writer
	raw    *rawWriter
	acks   atomic.Int64
	doubts atomic.Int64
	slow   time.Duration // the slowest start
	checks time.Duration
}

// TestKill kills the server at any moment, a hundred times, and starts it
// again on the same folder. Outside is written down what was acknowledged and
// what is in doubt: nothing acknowledged may be missing, nothing else half
// there, and every index agrees with its documents.
func TestKill(t *testing.T) {
	w := &killWorld{t: t, dir: t.TempDir(), addr: freePort(t)}
	w.server = start(t, w.addr, w.dir)
	w.prepare()
	retrying := w.startRetrying(2)
	for round := range killRounds {
		retries := round%4 == 0
		if retries {
			retrying.resume()
		}
		w.load(time.Duration(60+rand.IntN(140)) * time.Millisecond)
		began := time.Now()
		w.server = start(t, w.addr, w.dir)
		w.slow = max(w.slow, time.Since(began))
		began = time.Now()
		if out := w.server.stderr.String(); out != "" {
			t.Fatalf("round %d: the start had something to say: %s", round, out)
		}
		w.check(round)
		w.checks += time.Since(began)
		if retries {
			retrying.pause()
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	retrying.finish()
	t.Logf("%d acknowledged, %d in doubt, %d retried by the driver through a kill, %d by hand; slowest start %v, checks %v",
		w.acks.Load(), w.doubts.Load(), retrying.through, w.raw.repeated, w.slow, w.checks)
	if w.doubts.Load() == 0 || retrying.through == 0 || w.raw.repeated == 0 {
		t.Error("the kills met no write under way")
	}
}

func (w *killWorld) prepare() {
	t := w.t
	ctx := deadline(t)
	db := connect(t, w.addr).Database("kill")
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
	w.groups = make([]struct{ known, doubts int64 }, killWriters)
	for i := range killWriters {
		w.ledgers = append(w.ledgers, &ledger{known: map[int64]int64{}, maybe: map[int64][]int64{}})
		for j := range groupSize {
			_, err := db.Collection("groups").InsertOne(ctx, bson.D{{"_id", i*groupSize + j}, {"g", i}, {"n", 0}})
			must(t, err)
		}
	}
	_, err := db.Collection("stock").InsertOne(ctx, bson.D{{"_id", 1}, {"a", 1 << 40}, {"sold", 0}})
	must(t, err)
	w.raw = &rawWriter{session: bson.NewObjectID()}
	_, err = db.Collection("raw").InsertOne(ctx, bson.D{{"_id", 1}, {"n", 0}, {"m", 0}})
	must(t, err)
}

// load writes until the server is killed, which is after d.
func (w *killWorld) load(d time.Duration) {
	t := w.t
	client := connect(t, w.addr, options.Client().SetRetryWrites(false))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := client.Database("kill")
	var dead atomic.Bool
	var wg sync.WaitGroup
	for i := range killWriters {
		wg.Go(func() {
			for !dead.Load() {
				if err := w.step(ctx, db, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() { w.raw.run(w.addr, &dead) })
	<-time.After(d) // the length of the load is all that this decides
	w.server.kill(t)
	dead.Store(true)
	cancel() // who waits for a server need not
	within(t, "writers whose server is gone", wg.Wait)
	_ = client.Disconnect(ctx) // there is no server to say goodbye to
}

// step is one write of writer i.
func (w *killWorld) step(ctx context.Context, db *mongo.Database, i int) error {
	l := w.ledgers[i]
	id := int64(i*idsPerWriter + rand.IntN(idsPerWriter))
	coll := db.Collection("items")
	if id%4 == 3 {
		coll = db.Collection("more")
	}
	if len(l.maybe[id]) > 0 {
		return nil // in doubt until the next start
	}
	now, v := l.known[id], l.version()
	filter := bson.D{{"_id", id}, {"v", now}}
	var err error
	switch kind := rand.IntN(10); {
	case kind == 0:
		return w.sell(ctx, db.Collection("stock"))
	case kind == 1:
		return w.group(ctx, db.Collection("groups"), i)
	case kind == 2 && now == 0:
		return w.many(ctx, db, i, v)
	case kind == 3 && now > 0:
		return w.bulk(ctx, db, i, v)
	case now == 0 && kind < 6:
		_, err = coll.InsertOne(ctx, item(id, v))
	case now == 0:
		_, err = coll.UpdateOne(ctx, bson.D{{"_id", id}}, change(id, v), options.UpdateOne().SetUpsert(true))
	case kind == 4:
		var res *mongo.DeleteResult
		if res, err = coll.DeleteOne(ctx, filter); err == nil && res.DeletedCount != 1 {
			return fmt.Errorf("version %d of %d is not there to delete", now, id)
		}
		v = 0
	case kind == 5:
		var old bson.Raw
		if old, err = coll.FindOneAndDelete(ctx, filter).Raw(); err == nil && !same(old, item(id, now)) {
			return fmt.Errorf("findAndModify removed %v, want version %d", old, now)
		}
		v = 0
	case kind == 6:
		var old bson.Raw
		if old, err = coll.FindOneAndUpdate(ctx, filter, change(id, v)).Raw(); err == nil && !same(old, item(id, now)) {
			return fmt.Errorf("findAndModify found %v, want version %d", old, now)
		}
	case kind == 7:
		_, err = coll.ReplaceOne(ctx, filter, item(id, v))
	default:
		var res *mongo.UpdateResult
		if res, err = coll.UpdateOne(ctx, filter, change(id, v)); err == nil && res.ModifiedCount != 1 {
			return fmt.Errorf("version %d of %d is not there to update", now, id)
		}
	}
	if errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("version %d of %d is not there", now, id)
	}
	w.note(err)
	return l.record(err, v, id)
}

func (w *killWorld) note(err error) {
	if err == nil {
		w.acks.Add(1)
	} else {
		w.doubts.Add(1)
	}
}

func (w *killWorld) sell(ctx context.Context, coll *mongo.Collection) error {
	res, err := coll.UpdateOne(ctx, bson.D{{"_id", 1}, {"a", bson.D{{"$gt", 0}}}}, bson.D{{"$inc", bson.D{{"a", -1}, {"sold", 1}}}})
	w.note(err)
	if err != nil {
		w.shared.doubts.Add(1)
		return unexpected(err)
	}
	w.shared.sold.Add(res.ModifiedCount)
	return nil
}

// group changes all documents of a group in one statement.
func (w *killWorld) group(ctx context.Context, coll *mongo.Collection, i int) error {
	res, err := coll.UpdateMany(ctx, bson.D{{"g", i}}, bson.D{{"$inc", bson.D{{"n", 1}}}})
	w.note(err)
	if err != nil {
		w.groups[i].doubts++
		return unexpected(err)
	}
	w.groups[i].known++
	if res.ModifiedCount != groupSize {
		return fmt.Errorf("updateMany changed %d documents of a group, want %d", res.ModifiedCount, groupSize)
	}
	return nil
}

// many inserts several documents by one command.
func (w *killWorld) many(ctx context.Context, db *mongo.Database, i int, v int64) error {
	ids := w.ledgers[i].quiet(i, 8, false)
	if len(ids) == 0 {
		return nil
	}
	var docs []any
	for _, id := range ids {
		docs = append(docs, item(id, v))
	}
	_, err := db.Collection("items").InsertMany(ctx, docs)
	w.note(err)
	return w.ledgers[i].record(err, v, ids...)
}

// bulk updates several documents by one command.
func (w *killWorld) bulk(ctx context.Context, db *mongo.Database, i int, v int64) error {
	ids := w.ledgers[i].quiet(i, 8, true)
	if len(ids) == 0 {
		return nil
	}
	var models []mongo.WriteModel
	for _, id := range ids {
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{"_id", id}, {"v", w.ledgers[i].known[id]}}).SetUpdate(change(id, v)))
	}
	res, err := db.Collection("items").BulkWrite(ctx, models)
	if err == nil && res.ModifiedCount != int64(len(ids)) {
		return fmt.Errorf("%d statements modified %d documents", len(ids), res.ModifiedCount)
	}
	w.note(err)
	return w.ledgers[i].record(err, v, ids...)
}

// check holds the server against the ledger and settles what was in doubt.
func (w *killWorld) check(round int) {
	t := w.t
	client := connect(t, w.addr)
	defer disconnect(client)
	db := client.Database("kill")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
	for i, l := range w.ledgers {
		for id := int64(i * idsPerWriter); id < int64((i+1)*idsPerWriter); id++ {
			raw := found[id]
			delete(found, id)
			var v int64
			if raw != nil {
				v, _ = raw.Lookup("v").AsInt64OK()
			}
			if v != l.known[id] && !slices.Contains(l.maybe[id], v) || !same(raw, item(id, v)) {
				t.Errorf("document %d is %v; acknowledged is version %d, in doubt are %v", id, raw, l.known[id], l.maybe[id])
			}
			l.known[id] = v
		}
		for _, c := range l.commands {
			for j, id := range c.ids {
				if j > 0 && l.known[id] == c.version && l.known[c.ids[j-1]] != c.version {
					t.Errorf("of the ordered statements on %v number %d was carried out and not the one before", c.ids, j)
				}
			}
		}
		clear(l.maybe)
		l.commands = nil
	}
	for id, doc := range found {
		t.Errorf("document %d was never written: %v", id, doc)
	}

	var stock struct{ A, Sold int64 }
	must(t, db.Collection("stock").FindOne(ctx, bson.D{{"_id", 1}}).Decode(&stock))
	low := w.shared.sold.Load()
	if high := low + w.shared.doubts.Load(); stock.Sold < low || stock.Sold > high || stock.A+stock.Sold != 1<<40 {
		t.Errorf("got %+v, want between %d and %d sold", stock, low, high)
	}
	w.shared.sold.Store(stock.Sold)
	w.shared.doubts.Store(0)

	for i := range w.groups {
		g := &w.groups[i]
		var members []struct{ N int64 }
		cur, err := db.Collection("groups").Find(ctx, bson.D{{"g", i}})
		must(t, err)
		must(t, cur.All(ctx, &members))
		for _, m := range members {
			if len(members) != groupSize || m.N != members[0].N || m.N < g.known || m.N > g.known+g.doubts {
				t.Errorf("group %d is %v, want %d documents alike between %d and %d", i, members, groupSize, g.known, g.known+g.doubts)
				break
			}
		}
		g.known, g.doubts = members[0].N, 0
	}
	must(t, w.raw.settle(w.addr))
	agree(t, db.Collection("items"))
	agree(t, db.Collection([]string{"more", "groups"}[round%2]))
}
