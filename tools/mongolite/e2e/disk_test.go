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

// TestWritesAreRefusedWhileSpaceIsLow lowers the free space below the minimum
// that writes need. Every kind of write must fail with OutOfDiskSpace, while
// reads succeed. Writes must succeed again once there is enough space.
func TestWritesAreRefusedWhileSpaceIsLow(t *testing.T) {
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
		// The server checks the free space periodically, not before each write.
		eventually(t, name+" is refused", func() bool { return codeOf(write()) == outOfDiskSpace })
		if n, err := coll.CountDocuments(ctx, bson.D{{"u", bson.D{{"$gte", 0}, {"$lt", 10}}}}); n != 10 || err != nil {
			t.Fatalf("count after the refused %s: got %d, %v; want 10", name, n, err)
		}
	}
	checkIndexes(t, coll)
	must(t, coll.Drop(ctx)) // a drop frees space, so it is allowed
	disk.set(func(q *quotaFS) { q.free = 1 << 30 })
	eventually(t, "a write succeeds", func() bool {
		_, err := coll.InsertOne(ctx, bson.D{{"_id", "again"}})
		return err == nil
	})
}

// TestFullDiskLosesNoAcknowledgedWrite makes one kind of file operation fail
// although the disk reports enough free space, so that the server's check of the
// free space does not help. Writers must get OutOfDiskSpace and must not hang.
// No acknowledged write may be lost, and a new server on the same files must
// have consistent indexes.
func TestFullDiskLosesNoAcknowledgedWrite(t *testing.T) {
	const mib = 1 << 20
	faults := []struct {
		name string
		// isFatal is true if the store must stop writing until it is restarted.
		// Otherwise writes must succeed again once the fault is gone.
		isFatal bool
		arm     func(q *quotaFS)
	}{
		{"no space left", true, func(q *quotaFS) { q.free = mib }},
		{"log write", true, func(q *quotaFS) { q.fault = failOn("write", ".log") }},
		{"log sync", true, func(q *quotaFS) { q.fault = failOn("sync", ".log") }},
		{"log create", true, func(q *quotaFS) { q.fault = failOn("create", ".log") }},
		{"manifest write", true, func(q *quotaFS) { q.fault = failOn("write", "MANIFEST") }},
		{"manifest sync", true, func(q *quotaFS) { q.fault = failOn("sync", "MANIFEST") }},
		{"directory sync", true, func(q *quotaFS) { q.fault = failOn("sync", "/") }},
		// These faults occur once, and the next operation would succeed. Even so, the
		// store must not write anything after the gap in its files.
		{"log write once", true, func(q *quotaFS) { q.fault = failOnce(failOn("write", ".log")) }},
		{"log create once", true, func(q *quotaFS) { q.fault = failOnce(failOn("create", ".log")) }},
		{"manifest write once", true, func(q *quotaFS) { q.fault = failOnce(failOn("write", "MANIFEST")) }},
		{"directory sync once", true, func(q *quotaFS) { q.fault = failOnce(failOn("sync", "/")) }},
		{"table create", false, func(q *quotaFS) { q.fault = failOn("create", ".sst") }},
		{"table write", false, func(q *quotaFS) { q.fault = failOn("write", ".sst") }},
		{"table sync", false, func(q *quotaFS) { q.fault = failOn("sync", ".sst") }},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			disk := newQuotaFS(1 << 40)
			disk.reported = 1 << 40
			// With such a small memtable the store constantly rotates its log,
			// writes tables and updates its manifest.
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
							t.Error("insert: timed out")
							return
						}
						if err != nil {
							if code := codeOf(err); code != outOfDiskSpace {
								t.Errorf("insert: got %v, want code %d", err, outOfDiskSpace)
								return
							}
							failures.Add(1)
							if fault.isFatal {
								return
							}
							<-time.After(10 * time.Millisecond)
						}
					}
				})
			}
			if fault.isFatal {
				within(t, "writers after a fatal fault", wg.Wait)
				select {
				case <-s.Failed():
				default:
					t.Error("the channel Failed is open after a fatal fault, want closed")
				}
			} else {
				eventually(t, "a write is refused", func() bool { return failures.Load() > 0 })
				disk.set(func(q *quotaFS) { q.fault = nil })
				close(stop)
				within(t, "writers after a transient fault", wg.Wait)
				eventually(t, "a write succeeds", func() bool { return write() == nil })
				checkIndexes(t, coll)
			}
			if disk.refused() == 0 {
				t.Error("got no refused operation, want the fault to occur")
			}
			before := disk.contents(t, "data")
			closeServer(t, s)
			if fault.isFatal && !maps.Equal(before, disk.contents(t, "data")) {
				t.Error("Close wrote to the data directory after a fatal fault, which may leave gaps in the files")
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
					t.Errorf("found document %d, which was never inserted", doc.ID)
				}
				delete(acked, doc.ID)
			}
			if len(acked) > 0 {
				t.Errorf("%d acknowledged documents are missing, want 0", len(acked))
			}
			checkIndexes(t, coll)
			if _, err := coll.InsertOne(ctx, bson.D{{"u", "afterwards"}}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStatementLargerThanFreeSpaceIsRefused runs an updateMany that needs more
// space than there is. It must fail with OutOfDiskSpace and change nothing, and a
// smaller write must still succeed.
func TestStatementLargerThanFreeSpaceIsRefused(t *testing.T) {
	disk := newQuotaFS(1 << 30)
	s := serve(t, server.Config{Data: "data", FS: disk, MinFreeBytes: 8 << 20, MemTableBytes: 8 << 20})
	coll := connect(t, s.Addr()).Database("full").Collection("docs")
	ctx := deadline(t)
	for i := range 10 {
		_, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: i}, {Key: "pad", Value: make([]byte, 2<<20)}})
		must(t, err)
	}
	disk.set(func(q *quotaFS) { q.free = 14 << 20 }) // enough to write one document
	_, err := coll.UpdateMany(ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: 1}}}})
	var command mongo.CommandError
	if !errors.As(err, &command) || command.Code != outOfDiskSpace {
		t.Errorf("updateMany: got %v, want OutOfDiskSpace", err)
	}
	_, err = coll.InsertOne(ctx, bson.D{{Key: "_id", Value: "small"}})
	must(t, err)
	n, err := coll.CountDocuments(ctx, bson.D{{Key: "a", Value: 1}})
	must(t, err)
	if n != 0 || s.Err() != nil {
		t.Errorf("got %d changed documents and the store error %v, want 0 and none", n, s.Err())
	}
}
