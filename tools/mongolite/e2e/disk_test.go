package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

const outOfDiskSpace = 14031

// TestDiskNearlyFull lets the free space fall under the least that writes
// need: they are refused by name, reads go on, and writes go on when there is
// room again.
func TestDiskNearlyFull(t *testing.T) {
	disk := newQuotaFS(1 << 30)
	s := serve(t, server.Config{Data: "data", FS: disk, MinFreeBytes: 64 << 20})
	db := connect(t, s.Addr()).Database("full")
	coll := db.Collection("docs")
	ctx := deadline(t)
	_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"u", 1}}, Options: options.Index().SetUnique(true)})
	must(t, err)
	for i := range 10 {
		_, err := coll.InsertOne(ctx, bson.D{{"_id", i}, {"u", i}})
		must(t, err)
	}
	upsert := options.UpdateOne().SetUpsert(true)
	writes := map[string]func() error{
		"insert": func() error { _, err := coll.InsertOne(ctx, bson.D{{"u", "new"}}); return err },
		"insertMany": func() error {
			_, err := coll.InsertMany(ctx, []any{bson.D{{"u", "a"}}, bson.D{{"u", "b"}}})
			return err
		},
		"update": func() error {
			_, err := coll.UpdateOne(ctx, bson.D{{"_id", 1}}, bson.D{{"$set", bson.D{{"x", 1}}}})
			return err
		},
		"updateMany": func() error { _, err := coll.UpdateMany(ctx, bson.D{}, bson.D{{"$inc", bson.D{{"x", 1}}}}); return err },
		"upsert": func() error {
			_, err := coll.UpdateOne(ctx, bson.D{{"_id", "up"}}, bson.D{{"$set", bson.D{{"u", "up"}}}}, upsert)
			return err
		},
		"findAndModify": func() error {
			return coll.FindOneAndUpdate(ctx, bson.D{{"_id", 2}}, bson.D{{"$set", bson.D{{"x", 1}}}}).Err()
		},
		"create": func() error { return db.CreateCollection(ctx, "other") },
		"createIndex": func() error {
			_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"x", 1}}})
			return err
		},
	}
	disk.set(func(q *quotaFS) { q.free = 10 << 20 })
	for name, write := range writes {
		// The free space is looked at now and then, not before each write.
		eventually(t, name+" is refused", func() bool { return codeOf(write()) == outOfDiskSpace })
		if n, err := coll.CountDocuments(ctx, bson.D{{"u", bson.D{{"$gte", 0}, {"$lt", 10}}}}); n != 10 || err != nil {
			t.Fatalf("a read beside the refused %s: got %d, %v; want 10", name, n, err)
		}
	}
	agree(t, coll)
	must(t, coll.Drop(ctx)) // it makes room
	disk.set(func(q *quotaFS) { q.free = 1 << 30 })
	eventually(t, "writes go on", func() bool {
		_, err := coll.InsertOne(ctx, bson.D{{"_id", "again"}})
		return err == nil
	})
}

// TestDiskFull refuses one kind of operation behind the back of the guard. The
// writers get an error, nothing hangs, nothing acknowledged is lost, and a
// server on the same files is whole.
func TestDiskFull(t *testing.T) {
	const mib = 1 << 20
	faults := []struct {
		name string
		// lasting is set where the store cannot write behind the failure, and
		// not only until there is room again.
		lasting bool
		arm     func(q *quotaFS)
	}{
		{"no space left", true, func(q *quotaFS) { q.free = mib }},
		{"log write", true, func(q *quotaFS) { q.fault = on("write", ".log") }},
		{"log sync", true, func(q *quotaFS) { q.fault = on("sync", ".log") }},
		{"log create", true, func(q *quotaFS) { q.fault = on("create", ".log") }},
		{"manifest write", true, func(q *quotaFS) { q.fault = on("write", "MANIFEST") }},
		{"manifest sync", true, func(q *quotaFS) { q.fault = on("sync", "MANIFEST") }},
		{"folder sync", true, func(q *quotaFS) { q.fault = on("sync", "/") }},
		// The disk has room again at once, and the store must not write on
		// behind the gap.
		{"log write once", true, func(q *quotaFS) { q.fault = once(on("write", ".log")) }},
		{"log create once", true, func(q *quotaFS) { q.fault = once(on("create", ".log")) }},
		{"manifest write once", true, func(q *quotaFS) { q.fault = once(on("write", "MANIFEST")) }},
		{"folder sync once", true, func(q *quotaFS) { q.fault = once(on("sync", "/")) }},
		{"table create", false, func(q *quotaFS) { q.fault = on("create", ".sst") }},
		{"table write", false, func(q *quotaFS) { q.fault = on("write", ".sst") }},
		{"table sync", false, func(q *quotaFS) { q.fault = on("sync", ".sst") }},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			disk := newQuotaFS(1 << 40)
			disk.claim = 1 << 40
			// So little in memory makes the store change its log, write tables
			// and record them all the time.
			cfg := server.Config{Data: "data", FS: disk, MemTableBytes: 256 << 10}
			s := serve(t, cfg)
			coll := connect(t, s.Addr(), options.Client().SetRetryWrites(false)).Database("full").Collection("docs")
			ctx := deadline(t)
			_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"u", 1}}, Options: options.Index().SetUnique(true)})
			must(t, err)

			var mu sync.Mutex
			acked, tried := map[int64]bool{}, map[int64]bool{}
			var next atomic.Int64
			write := func() error {
				id := next.Add(1)
				mu.Lock()
				tried[id] = true
				mu.Unlock()
				_, err := coll.InsertOne(ctx, bson.D{{"_id", id}, {"u", fmt.Sprint("u", id)}, {"pad", bytes.Repeat([]byte{'x'}, 2000)}})
				if err == nil {
					mu.Lock()
					acked[id] = true
					mu.Unlock()
				}
				return err
			}
			for range 20 {
				must(t, write())
			}
			disk.set(fault.arm)
			stop := make(chan struct{})
			var failures atomic.Int64
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						err := write()
						if errors.Is(err, context.DeadlineExceeded) {
							t.Error("a write hangs")
							return
						}
						if err != nil {
							if code := codeOf(err); code != outOfDiskSpace {
								t.Errorf("got %v, want code %d", err, outOfDiskSpace)
								return
							}
							failures.Add(1)
							if fault.lasting {
								return
							}
							<-time.After(10 * time.Millisecond)
						}
					}
				})
			}
			if fault.lasting {
				within(t, "writers that meet the failure", wg.Wait)
				select {
				case <-s.Failed():
				default:
					t.Error("the store failed and does not say so")
				}
			} else {
				eventually(t, "a write is refused", func() bool { return failures.Load() > 0 })
				disk.set(func(q *quotaFS) { q.fault = nil })
				close(stop)
				within(t, "writers beside the failure", wg.Wait)
				eventually(t, "writes go on", func() bool { return write() == nil })
				agree(t, coll)
			}
			if disk.refused() == 0 {
				t.Error("the fault was not met")
			}
			before := disk.contents(t, "data")
			closeServer(t, s)
			if fault.lasting && !maps.Equal(before, disk.contents(t, "data")) {
				t.Error("the folder was written to behind the failure, which may leave gaps in it")
			}

			disk.set(func(q *quotaFS) { q.fault, q.free = nil, 1<<40 })
			again := serve(t, cfg)
			coll = connect(t, again.Addr()).Database("full").Collection("docs")
			var docs []struct {
				ID int64 `bson:"_id"`
			}
			cur, err := coll.Find(ctx, bson.D{{"pad", bson.D{{"$exists", true}}}}, options.Find().SetProjection(bson.D{{"_id", 1}}))
			must(t, err)
			must(t, cur.All(ctx, &docs))
			for _, doc := range docs {
				if !tried[doc.ID] {
					t.Errorf("document %d was never written", doc.ID)
				}
				delete(acked, doc.ID)
			}
			if len(acked) > 0 {
				t.Errorf("%d acknowledged documents are missing", len(acked))
			}
			agree(t, coll)
			if _, err := coll.InsertOne(ctx, bson.D{{"u", "afterwards"}}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A statement for which the disk has no room is refused by itself: it changes
// nothing, and writing goes on with smaller ones.
func TestStatementLargerThanTheFreeSpace(t *testing.T) {
	disk := newQuotaFS(1 << 30)
	s := serve(t, server.Config{Data: "data", FS: disk, MinFreeBytes: 8 << 20, MemTableBytes: 8 << 20})
	coll := connect(t, s.Addr()).Database("full").Collection("docs")
	ctx := deadline(t)
	for i := range 10 {
		_, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: i}, {Key: "pad", Value: make([]byte, 2<<20)}})
		must(t, err)
	}
	disk.set(func(q *quotaFS) { q.free = 14 << 20 }) // more than a write of one document needs
	_, err := coll.UpdateMany(ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: 1}}}})
	var command mongo.CommandError
	if !errors.As(err, &command) || command.Code != outOfDiskSpace {
		t.Errorf("updateMany: %v, want OutOfDiskSpace", err)
	}
	_, err = coll.InsertOne(ctx, bson.D{{Key: "_id", Value: "small"}})
	must(t, err)
	n, err := coll.CountDocuments(ctx, bson.D{{Key: "a", Value: 1}})
	must(t, err)
	if n != 0 || s.Err() != nil {
		t.Errorf("%d documents were changed, the store says %v", n, s.Err())
	}
}
