package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// TestPowerCut takes what a disk would hold after a power cut, at moments
// under load: all that was synced and, of the rest, nothing or some. What was
// acknowledged before is in it, each statement is whole, and indexes agree. A
// kill cannot prove this, for the system keeps what a process wrote.
func TestPowerCut(t *testing.T) {
	for _, unsynced := range []int{0, 30} { // percent of what was not synced that is kept
		t.Run(fmt.Sprint(unsynced, "% of the unsynced"), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			// Little in memory, so that cuts fall between tables too.
			cfg := server.Config{Data: "data", FS: disk, MemTableBytes: 256 << 10}
			s := serve(t, cfg)
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			db := connect(t, s.Addr()).Database("power")
			coll := db.Collection("docs")
			for _, index := range []mongo.IndexModel{
				{Keys: bson.D{{"u", 1}}, Options: options.Index().SetUnique(true)},
				{Keys: bson.D{{"tags", 1}}},
			} {
				_, err := coll.Indexes().CreateOne(ctx, index)
				must(t, err)
			}
			c, err := dial(s.Addr())
			must(t, err)
			defer c.Close()
			raw := &rawWriter{session: bson.NewObjectID()}
			_, err = db.Collection("raw").InsertOne(ctx, bson.D{{"_id", 1}, {"n", 0}, {"m", 0}})
			must(t, err)

			var mu sync.Mutex
			acked := map[int64]bool{}
			var next, counted, made atomic.Int64
			var stop atomic.Bool
			var wg sync.WaitGroup
			for w := range 5 {
				wg.Go(func() {
					for !stop.Load() {
						first := next.Add(4) - 4
						var docs []any
						var ids []int64
						for id := first; id < first+1+int64(w%4); id++ {
							docs = append(docs, bson.D{{"_id", id}, {"u", fmt.Sprint(id)}, {"tags", bson.A{"a", id % 10}}, {"pad", bytes.Repeat([]byte{'x'}, 1000)}})
							ids = append(ids, id)
						}
						if _, err := coll.InsertMany(ctx, docs); err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						for _, id := range ids {
							acked[id] = true
						}
						mu.Unlock()
						// A collection that was made is there, too.
						if n := made.Load(); w == 0 && n < 40 {
							must(t, db.CreateCollection(ctx, fmt.Sprint("made", n)))
							made.Add(1)
						}
						_, err := db.Collection("count").UpdateOne(ctx, bson.D{{"_id", 1}}, bson.D{{"$inc", bson.D{{"n", 1}}}}, options.UpdateOne().SetUpsert(true))
						if err != nil {
							t.Error(err)
							return
						}
						counted.Add(1)
					}
				})
			}
			type cut struct {
				disk          *vfs.MemFS
				acked         map[int64]bool
				counted, made int64
				next          int64 // no document from here on was tried
				txn           int64 // the retryable write acknowledged last
				first         any   // its answer
			}
			var cuts []cut
			for i := range 8 {
				raw.txn++
				reply, err := c.ask(inDatabase(raw.command(), "power"))
				must(t, err)
				raw.first = outcome(reply)
				eventually(t, "writes between the cuts", func() bool { return counted.Load() > int64(10*i) })
				mu.Lock()
				k := cut{acked: maps.Clone(acked), counted: counted.Load(), made: made.Load(), txn: raw.txn, first: raw.first}
				mu.Unlock()
				k.disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(uint64(i), 1))})
				k.next = next.Load()
				cuts = append(cuts, k)
			}
			stop.Store(true)
			within(t, "writers", wg.Wait)

			for i, k := range cuts {
				cfg.FS = k.disk
				s := serve(t, cfg)
				db := connect(t, s.Addr()).Database("power")
				for id := range missing(t, s.Addr(), "power", k.acked) {
					if id >= k.next {
						t.Errorf("cut %d: document %d was not yet written", i, id)
					}
				}
				var doc struct{ N int64 }
				if err := db.Collection("count").FindOne(ctx, bson.D{{"_id", 1}}).Decode(&doc); k.counted > 0 && err != nil {
					t.Error(err)
				}
				if doc.N < k.counted {
					t.Errorf("cut %d: got %d increments, %d were acknowledged", i, doc.N, k.counted)
				}
				names, err := db.ListCollectionNames(ctx, bson.D{{"name", bson.D{{"$regex", "^made"}}}})
				must(t, err)
				if int64(len(names)) < k.made {
					t.Errorf("cut %d: got %d collections, %d were made", i, len(names), k.made)
				}
				c, err := dial(s.Addr())
				must(t, err)
				raw.txn = k.txn
				reply, err := c.ask(inDatabase(raw.command(), "power"))
				c.Close()
				must(t, err)
				if got := outcome(reply); got != k.first {
					t.Errorf("cut %d: write %d was answered %v, again %v", i, k.txn, k.first, got)
				}
				closeServer(t, s)
			}
		})
	}
}

func inDatabase(cmd bson.D, db string) bson.D {
	cmd[len(cmd)-1].Value = db
	return cmd
}
