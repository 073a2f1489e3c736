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

// TestDriverConnects checks that the driver connects to the server as a replica set,
// directly, and without either option in the connection string.
func TestDriverConnects(t *testing.T) {
	s := startServer(t)
	for _, query := range []string{"/?replicaSet=mongolite", "/?directConnection=true", "/?replicaSet=mongolite&directConnection=true", "", "/?retryWrites=false&w=1&journal=true&readConcernLevel=majority"} {
		client := connect(t, s, options.Client().ApplyURI("mongodb://"+s.Addr()+query))
		ctx := testContext(t)
		must(t, client.Ping(ctx, readpref.Primary()))
		coll := client.Database("test").Collection("c")
		if _, err := coll.InsertOne(ctx, bson.D{{Key: "q", Value: query}}); err != nil {
			t.Errorf("%s: insert: %v", query, err)
		}
		if n, err := coll.CountDocuments(ctx, bson.D{{Key: "q", Value: query}}); n != 1 || err != nil {
			t.Errorf("%s: got %d documents (error %v), want 1", query, n, err)
		}
	}
	client := connect(t, s, options.Client().SetReplicaSet("other").SetServerSelectionTimeout(200*time.Millisecond))
	if err := client.Ping(testContext(t), nil); err == nil {
		t.Error("got a connection with another replica set name, want an error")
	}
}

// TestDriverRetriesWrites checks that the driver treats the server as one that
// supports retryable writes.
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
				continue // the insert covers the other errors
			}
			p.setFailCommand(`{"times": 1}`, `{"failCommands": ["insert", "update", "findAndModify", "find", "delete"], `+data+`}`)
			if err := write(); err != nil {
				t.Errorf("command %d, fail point %s: %v", i, data, err)
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
			t.Fatalf("%s was sent %d times, want at least 2", name, len(sent[name]))
		}
		a, b := sent[name][0], sent[name][1]
		if x := a.Lookup("txnNumber"); x.IsZero() || !x.Equal(b.Lookup("txnNumber")) {
			t.Errorf("%s was sent with txnNumber %v and %v, want the same number twice", name, x, b.Lookup("txnNumber"))
		}
	}
}

// TestUnacknowledgedWritesAreApplied checks that writes with w:0 take effect.
func TestUnacknowledgedWritesAreApplied(t *testing.T) {
	client := connect(t, startServer(t))
	ctx := testContext(t)
	coll := client.Database("test").Collection("c", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	for i := range 20 {
		if _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: i}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all 20 documents are inserted", func() bool {
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
		t.Errorf("insert with a duplicate _id: got %v, want a duplicate key error", err)
	}
	_, err = coll.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.D{{Key: "_id", Value: 2}}),
		mongo.NewInsertOneModel().SetDocument(bson.D{{Key: "_id", Value: 2}}),
		mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: 2}}).SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "x", Value: 1}}}}),
	}, options.BulkWrite().SetOrdered(false))
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || len(bulk.WriteErrors) != 1 || bulk.WriteErrors[0].Index != 1 || !bulk.WriteErrors[0].HasErrorCode(11000) {
		t.Errorf("bulk write with a duplicate _id: got %v, want one write error at index 1", err)
	}
	unsatisfiable := client.Database("test").Collection("c", options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: 2}))
	_, err = unsatisfiable.InsertOne(ctx, bson.D{{Key: "_id", Value: 3}})
	var we mongo.WriteException
	if !errors.As(err, &we) || we.WriteConcernError == nil || we.WriteConcernError.Code != 100 {
		t.Errorf("insert with w:2: got %v, want write concern error 100", err)
	}
	session, err := client.StartSession()
	must(t, err)
	defer session.EndSession(ctx)
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		return coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 4}})
	})
	var ce mongo.CommandError
	if !errors.As(err, &ce) || ce.Code != 238 || ce.Message != "mongolite does not support insert.startTransaction" {
		t.Errorf("transaction: got %v, want code 238 for insert.startTransaction", err)
	}
	if _, err := coll.Watch(ctx, mongo.Pipeline{}); !errors.As(err, &ce) || ce.Code != 238 || ce.Message != "mongolite does not support the pipeline stage $changeStream" {
		t.Errorf("change stream: got %v, want code 238 for $changeStream", err)
	}
	if n, err := coll.CountDocuments(ctx, bson.D{}); n != 3 || err != nil {
		t.Errorf("got %d documents (error %v), want 3", n, err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	must(t, client.Database("admin").RunCommand(ctx, bson.D{{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: bson.D{{Key: "times", Value: 1}}},
		{Key: "data", Value: bson.D{{Key: "failCommands", Value: bson.A{"find"}}, {Key: "blockConnection", Value: true}, {Key: "blockTimeMS", Value: 60_000}}}}).Err())
	if err := coll.FindOne(short, bson.D{}).Err(); !errors.Is(err, context.DeadlineExceeded) && !mongo.IsTimeout(err) {
		t.Errorf("find after its deadline: got %v, want a timeout", err)
	}
}

// TestClientsSurviveRestart checks that clients with connection pools survive
// restarts of the server with the same address and data directory. Every read and
// every retryable write succeeds, and each write takes effect once.
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
					t.Errorf("worker %d: update: got %+v (error %v), want 1 modified document", w, r, err)
					return
				}
				n := done[w].Add(1)
				var doc struct{ N int64 }
				if err := coll.FindOne(ctx, filter).Decode(&doc); err != nil || doc.N != n {
					t.Errorf("worker %d: find: got n = %d (error %v), want %d", w, doc.N, err, n)
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
		eventually(t, "50 more writes succeed", func() bool { return t.Failed() || total() > before+50 })
		must(t, s.Close())
		s = startServerWith(t, cfg)
	}
	before := total()
	eventually(t, "50 more writes succeed", func() bool { return t.Failed() || total() > before+50 })
	stop.Store(true)
	wg.Wait()
}

// TestCloseUnderLoad checks that Close returns while writes run and cursors are
// open, that acknowledged writes survive it, and that it may be called twice.
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
			p.expect(cmd, `{"ok": 1}`) // leaves a cursor open
			p.sendCommand(`{"update": "c", "updates": [{"q": {}, "u": {"$inc": {"n": 1}}, "multi": true}]}`)
		}
		eventually(t, "more than 10 writes are acknowledged", func() bool { return acked[0].Load() > 10 })
		must(t, s.Close())
		must(t, s.Close())
		wg.Wait()
		s = startServerWith(t, cfg)
		p := dial(t, s)
		for w := range acked {
			n := acked[w].Load()
			got := toFloat(lookup(p.run(fmt.Sprintf(`{"count": "log", "query": {"_id": {"$regex": "^%d-%d-"}}}`, round, w)), "n"))
			if got < float64(n) || got > float64(n+1) {
				t.Errorf("round %d: got %v documents, want %d acknowledged ones and at most one more", round, got, n)
			}
		}
		// A multi-document update changes all documents or none.
		if values := lookup(p.run(`{"distinct": "c", "key": "n"}`), "values").(bson.A); len(values) > 1 {
			t.Errorf("round %d: got values %v of n, want a single one", round, values)
		}
		must(t, s.Close())
	}
}

func TestStartFailsIfAddressOrDirectoryIsInUse(t *testing.T) {
	dir := t.TempDir()
	s := startServerWith(t, server.Config{Data: dir})
	if _, err := server.Start(server.Config{Listen: s.Addr(), Data: t.TempDir()}); err == nil {
		t.Error("Start with an address in use: got no error, want one")
	}
	if _, err := server.Start(server.Config{Listen: "127.0.0.1:0", Data: dir}); err == nil {
		t.Error("Start with a data directory in use: got no error, want one")
	}
	dial(t, s).expect(`{"insert": "c", "documents": [{}]}`, `{"n": 1}`)
}
