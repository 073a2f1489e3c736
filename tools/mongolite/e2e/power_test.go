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

// TestAcknowledgedWritesSurvivePowerCut takes, at several moments under load,
// copies of the disk as a power cut would leave it: everything that was synced,
// and none or some of the rest. A server on each copy must have every write that
// was acknowledged before the cut, must have no half-applied statement, and must
// have consistent indexes. Killing the process cannot test this, because the
// kernel keeps what a process wrote without syncing.
func TestAcknowledgedWritesSurvivePowerCut(t *testing.T) {
	for _, unsynced := range []int{0, 30} { // the percentage of unsynced data that survives
		t.Run(fmt.Sprint(unsynced, "% of unsynced data survives"), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			// With a small memtable some cuts happen while tables are written.
			cfg := server.Config{Data: "data", FS: disk, MemTableBytes: 256 << 10}
			s := serve(t, cfg)
			ctx, cancel := context.WithTimeout(context.Background(), 2*waitLimit)
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
			var next, incremented, created atomic.Int64
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
						// The creation of a collection is an acknowledged write too.
						if n := created.Load(); w == 0 && n < 40 {
							must(t, db.CreateCollection(ctx, fmt.Sprint("made", n)))
							created.Add(1)
						}
						_, err := db.Collection("count").UpdateOne(ctx, bson.D{{"_id", 1}}, bson.D{{"$inc", bson.D{{"n", 1}}}}, options.UpdateOne().SetUpsert(true))
						if err != nil {
							t.Error(err)
							return
						}
						incremented.Add(1)
					}
				})
			}
			type cut struct {
				disk                 *vfs.MemFS
				acked                map[int64]bool
				incremented, created int64
				next                 int64 // no insert of this _id or a higher one had started
				txn                  int64 // the last acknowledged retryable write
				firstReply           any   // the outcome of that write
			}
			var cuts []cut
			for i := range 8 {
				raw.txn++
				reply, err := c.roundTrip(inDatabase(raw.command(), "power"))
				must(t, err)
				raw.firstReply = outcome(reply)
				eventually(t, "enough increments are acknowledged", func() bool { return incremented.Load() > int64(10*i) })
				mu.Lock()
				k := cut{acked: maps.Clone(acked), incremented: incremented.Load(), created: created.Load(), txn: raw.txn, firstReply: raw.firstReply}
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
				for id := range checkAcknowledged(t, s.Addr(), "power", k.acked) {
					if id >= k.next {
						t.Errorf("cut %d: found document %d, whose insert had not started", i, id)
					}
				}
				var doc struct{ N int64 }
				if err := db.Collection("count").FindOne(ctx, bson.D{{"_id", 1}}).Decode(&doc); k.incremented > 0 && err != nil {
					t.Error(err)
				}
				if doc.N < k.incremented {
					t.Errorf("cut %d: got %d increments, want at least the %d acknowledged ones", i, doc.N, k.incremented)
				}
				names, err := db.ListCollectionNames(ctx, bson.D{{"name", bson.D{{"$regex", "^made"}}}})
				must(t, err)
				if int64(len(names)) < k.created {
					t.Errorf("cut %d: got %d collections, want at least the %d acknowledged ones", i, len(names), k.created)
				}
				c, err := dial(s.Addr())
				must(t, err)
				raw.txn = k.txn
				reply, err := c.roundTrip(inDatabase(raw.command(), "power"))
				c.Close()
				must(t, err)
				if got := outcome(reply); got != k.firstReply {
					t.Errorf("cut %d: write %d sent again: got %v, want the first reply %v", i, k.txn, got, k.firstReply)
				}
				closeServer(t, s)
			}
		})
	}
}

// inDatabase sets the database of a rawWriter's command, which is its last field.
func inDatabase(cmd bson.D, db string) bson.D {
	cmd[len(cmd)-1].Value = db
	return cmd
}
