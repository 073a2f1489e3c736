package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"boxoffice/tools/mongolite/server"
)

// TestDriverConnects as a replica set that it discovers, to one server
// directly, and without being told which of both.
func TestDriverConnects(t *testing.T) {
	s := startServer(t)
	for _, query := range []string{"/?replicaSet=mongolite", "/?directConnection=true", "/?replicaSet=mongolite&directConnection=true", "", "/?retryWrites=false&w=1&journal=true&readConcernLevel=majority"} {
		client := connect(t, s, options.Client().ApplyURI("mongodb://"+s.Addr()+query))
		ctx := testContext(t)
		must(t, client.Ping(ctx, readpref.Primary()))
		coll := client.Database("test").Collection("c")
		if _, err := coll.InsertOne(ctx, bson.D{{Key: "q", Value: query}}); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if n, err := coll.CountDocuments(ctx, bson.D{{Key: "q", Value: query}}); n != 1 || err != nil {
			t.Errorf("%s: %d documents, %v", query, n, err)
		}
	}
	client := connect(t, s, options.Client().SetReplicaSet("other").SetServerSelectionTimeout(200*time.Millisecond))
	if err := client.Ping(testContext(t), nil); err == nil {
		t.Error("a client of another replica set was served")
	}
}

// TestDriverRetriesWrites holds that the driver takes the server for one
// that can be sent a write twice.
func TestDriverRetriesWrites(t *testing.T) {
	s := startServer(t)
	var mu sync.Mutex
	sent := map[string][]bson.Raw{}
	client := connect(t, s, options.Client().SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		sent[e.CommandName] = append(sent[e.CommandName], append(bson.Raw(nil), e.Command...))
	}}))
	ctx := testContext(t)
	coll := client.Database("test").Collection("c")
	p := dial(t, s)
	for i, write := range []func() error{
		func() error { _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}}); return err },
		func() error {
			_, err := coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: 1}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
			return err
		},
		func() error {
			return coll.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: 1}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}).Err()
		},
		func() error { return coll.FindOne(ctx, bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: 2}}).Err() },
		func() error { _, err := coll.DeleteOne(ctx, bson.D{{Key: "_id", Value: 1}}); return err },
	} {
		for _, data := range []string{
			`"closeConnection": true`, `"errorCode": 10107, "errorLabels": ["RetryableWriteError"]`,
			`"errorCode": 91`, `"errorCode": 189`,
		} {
			if i > 0 && data != `"closeConnection": true` {
				continue // the first stands for all in the others
			}
			p.setFailCommand(`{"times": 1}`, `{"failCommands": ["insert", "update", "findAndModify", "find", "delete"], `+data+`}`)
			if err := write(); err != nil {
				t.Errorf("write %d, %s: %v", i, data, err)
			}
			if i == 0 {
				p.expect(`{"delete": "c", "deletes": [{"q": {}, "limit": 0}]}`, `{"n": 1}`)
			}
		}
		if i == 0 {
			must(t, write())
		}
	}
	for _, name := range []string{"insert", "update", "findAndModify", "delete"} {
		if len(sent[name]) < 2 {
			t.Fatalf("%s was sent %d times", name, len(sent[name]))
		}
		a, b := sent[name][0], sent[name][1]
		if x := a.Lookup("txnNumber"); x.IsZero() || !x.Equal(b.Lookup("txnNumber")) {
			t.Errorf("%s was sent with the numbers %v and %v", name, x, b.Lookup("txnNumber"))
		}
	}
}

// TestUnacknowledgedWritesAreApplied holds that writes with w:0 are done.
func TestUnacknowledgedWritesAreApplied(t *testing.T) {
	client := connect(t, startServer(t))
	ctx := testContext(t)
	coll := client.Database("test").Collection("c", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	for i := range 20 {
		if _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: i}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "20 documents", func() bool {
		n, err := coll.CountDocuments(ctx, bson.D{})
		must(t, err)
		return n == 20
	})
}

func TestDriverRecognizesErrors(t *testing.T) {
	client := connect(t, startServer(t))
	ctx := testContext(t)
	coll := client.Database("test").Collection("c")
	_, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}})
	must(t, err)
	if _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}}); !mongo.IsDuplicateKeyError(err) {
		t.Errorf("a duplicate key is %v", err)
	}
	_, err = coll.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.D{{Key: "_id", Value: 2}}),
		mongo.NewInsertOneModel().SetDocument(bson.D{{Key: "_id", Value: 2}}),
		mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: 2}}).SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "x", Value: 1}}}}),
	}, options.BulkWrite().SetOrdered(false))
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || len(bulk.WriteErrors) != 1 || bulk.WriteErrors[0].Index != 1 || !bulk.WriteErrors[0].HasErrorCode(11000) {
		t.Errorf("a bulk write with a duplicate gives %v", err)
	}
	majority := client.Database("test").Collection("c", options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: 2}))
	_, err = majority.InsertOne(ctx, bson.D{{Key: "_id", Value: 3}})
	var we mongo.WriteException
	if !errors.As(err, &we) || we.WriteConcernError == nil || we.WriteConcernError.Code != 100 {
		t.Errorf("w:2 gives %v", err)
	}
	session, err := client.StartSession()
	must(t, err)
	defer session.EndSession(ctx)
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		return coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 4}})
	})
	var ce mongo.CommandError
	if !errors.As(err, &ce) || ce.Code != 238 || ce.Message != "mongolite does not support insert.startTransaction" {
		t.Errorf("a transaction gives %v", err)
	}
	if _, err := coll.Watch(ctx, mongo.Pipeline{}); !errors.As(err, &ce) || ce.Code != 238 || ce.Message != "mongolite does not support the pipeline stage $changeStream" {
		t.Errorf("a change stream gives %v", err)
	}
	if n, err := coll.CountDocuments(ctx, bson.D{}); n != 3 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	must(t, client.Database("admin").RunCommand(ctx, bson.D{{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: bson.D{{Key: "times", Value: 1}}},
		{Key: "data", Value: bson.D{{Key: "failCommands", Value: bson.A{"find"}}, {Key: "blockConnection", Value: true}, {Key: "blockTimeMS", Value: 60_000}}}}).Err())
	if err := coll.FindOne(short, bson.D{}).Err(); !errors.Is(err, context.DeadlineExceeded) && !mongo.IsTimeout(err) {
		t.Errorf("a find past its deadline gives %v", err)
	}
}

// TestClientsSurviveRestart holds that clients with pools go on over a server
// that ends and comes back on its port with its folder: every read and every
// retryable write succeeds, and each write is done once.
func TestClientsSurviveRestart(t *testing.T) {
	cfg := server.Config{Data: t.TempDir()}
	s := startServerWith(t, cfg)
	cfg.Listen = s.Addr()
	client := connect(t, s, options.Client().SetMaxPoolSize(8))
	coll := client.Database("test").Collection("c")
	ctx := testContext(t)
	const workers = 6
	for w := range workers {
		_, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: w}, {Key: "n", Value: 0}})
		must(t, err)
	}
	var stop atomic.Bool
	var done [workers]atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			filter := bson.D{{Key: "_id", Value: w}}
			for !stop.Load() {
				r, err := coll.UpdateOne(ctx, filter, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
				if err != nil || r.ModifiedCount != 1 {
					t.Errorf("worker %d: update: %+v, %v", w, r, err)
					return
				}
				n := done[w].Add(1)
				var doc struct{ N int64 }
				if err := coll.FindOne(ctx, filter).Decode(&doc); err != nil || doc.N != n {
					t.Errorf("worker %d: read %d, want %d: %v", w, doc.N, n, err)
					return
				}
			}
		})
	}
	total := func() (n int64) {
		for w := range workers {
			n += done[w].Load()
		}
		return n
	}
	for range 3 {
		before := total()
		eventually(t, "more writes", func() bool { return t.Failed() || total() > before+50 })
		must(t, s.Close())
		s = startServerWith(t, cfg)
	}
	before := total()
	eventually(t, "more writes", func() bool { return t.Failed() || total() > before+50 })
	stop.Store(true)
	wg.Wait()
}

// TestCloseUnderLoad holds that Close ends soon whatever is going on, that what
// was acknowledged is there at the next start, and that a second Close is none.
func TestCloseUnderLoad(t *testing.T) {
	cfg := server.Config{Data: t.TempDir(), TestCommands: true}
	for round := range 5 {
		s := startServerWith(t, cfg)
		seed := dial(t, s)
		if round == 0 {
			seed.insertMany(5000)
		}
		acked := make([]atomic.Int64, 4)
		var wg sync.WaitGroup
		for w := range acked {
			p := dial(t, s)
			wg.Go(func() {
				for i := 0; ; i++ {
					p.id++
					doc := bson.D{{Key: "_id", Value: fmt.Sprintf("%d-%d-%d", round, w, i)}}
					body := append([]byte{0, 0, 0, 0}, bodySection(t, bson.D{{Key: "insert", Value: "log"}, {Key: "$db", Value: "test"}, {Key: "documents", Value: bson.A{doc}}})...)
					if _, err := p.nc.Write(frame(p.id, opMsg, body)); err != nil {
						return
					}
					reply, err := p.receive()
					if err != nil || lookup(reply, "ok") != 1.0 {
						return
					}
					acked[w].Store(int64(i + 1))
				}
			})
		}
		for _, cmd := range []string{
			`{"find": "c", "batchSize": 1}`, `{"find": "c", "sort": {"x": 1}, "batchSize": 1, "noCursorTimeout": true}`,
			`{"aggregate": "c", "pipeline": [{"$group": {"_id": "$_id"}}], "cursor": {"batchSize": 1}}`,
		} {
			p := dial(t, s)
			p.expect(cmd, `{"ok": 1}`) // a cursor that stays open
			p.sendCommand(`{"update": "c", "updates": [{"q": {}, "u": {"$inc": {"n": 1}}, "multi": true}]}`)
		}
		eventually(t, "some writes", func() bool { return acked[0].Load() > 10 })
		must(t, s.Close())
		must(t, s.Close())
		wg.Wait()
		s = startServerWith(t, cfg)
		p := dial(t, s)
		for w := range acked {
			n := acked[w].Load()
			got := toFloat(lookup(p.run(fmt.Sprintf(`{"count": "log", "query": {"_id": {"$regex": "^%d-%d-"}}}`, round, w)), "n"))
			if got < float64(n) || got > float64(n+1) {
				t.Errorf("round %d: %v documents of %d acknowledged", round, got, n)
			}
		}
		// A multi update is whole: it has met all documents or none.
		if values := lookup(p.run(`{"distinct": "c", "key": "n"}`), "values").(bson.A); len(values) > 1 {
			t.Errorf("round %d: half an update: %v", round, values)
		}
		must(t, s.Close())
	}
}

func TestStartFailsIfAddressOrDirectoryIsInUse(t *testing.T) {
	dir := t.TempDir()
	s := startServerWith(t, server.Config{Data: dir})
	if _, err := server.Start(server.Config{Listen: s.Addr(), Data: t.TempDir()}); err == nil {
		t.Error("a second server has the address")
	}
	if _, err := server.Start(server.Config{Listen: "127.0.0.1:0", Data: dir}); err == nil {
		t.Error("a second server has the folder")
	}
	dial(t, s).expect(`{"insert": "c", "documents": [{}]}`, `{"n": 1}`)
}
