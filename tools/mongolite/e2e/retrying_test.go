package e2e_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// retryingWriters are writers whose driver retries a write that a kill
// interrupted. Each of their writes must therefore take effect exactly once.
//
// They run during a quarter of the kills only, because a driver that looks for a
// server keeps a processor busy for half a second.
type retryingWriters struct {
	test         *killTest
	ctx          context.Context
	cancel       context.CancelFunc
	gate         sync.RWMutex // write-locked while the writers are paused
	paused       bool
	stop         atomic.Bool
	wg           sync.WaitGroup
	failed       atomic.Int64   // attempts that failed
	counts       []atomic.Int64 // acknowledged increments, by writer
	failedBefore int64          // value of failed at the last resume
	retried      int64          // attempts that failed because of a kill
}

// resume lets the writers run and waits until each one has reached the server.
func (r *retryingWriters) resume() {
	r.open()
	for i := range r.counts {
		from := r.counts[i].Load()
		eventually(r.test.t, "a retrying writer proceeds", func() bool { return r.counts[i].Load() > from+1 })
	}
	r.failedBefore = r.failed.Load()
}

// open lets the writers run. It does nothing if they are not paused.
func (r *retryingWriters) open() {
	if r.paused {
		r.paused = false
		r.gate.Unlock()
	}
}

// pause waits until every writer has finished its write, and stops them until
// resume.
func (r *retryingWriters) pause() {
	within(r.test.t, "pause the retrying writers", r.gate.Lock)
	r.paused = true
	r.retried += r.failed.Load() - r.failedBefore
}

// startRetrying starts n retrying writers, which are paused at first.
func (k *killTest) startRetrying(n int) *retryingWriters {
	r := &retryingWriters{test: k, counts: make([]atomic.Int64, n)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.pause()
	for i := range n {
		client := connect(k.t, k.addr, options.Client().SetRetryWrites(true).SetHeartbeatInterval(500*time.Millisecond).
			SetMonitor(&event.CommandMonitor{Failed: func(_ context.Context, e *event.CommandFailedEvent) {
				if e.CommandName != "find" {
					r.failed.Add(1)
				}
			}}))
		coll := client.Database("kill").Collection("retried")
		r.wg.Go(func() {
			for !r.stop.Load() {
				r.gate.RLock()
				r.write(coll, i)
				r.gate.RUnlock()
			}
		})
	}
	k.t.Cleanup(func() { // needed if the test fails before finish
		r.stop.Store(true)
		r.cancel()
		r.open()
		within(k.t, "stop the retrying writers", r.wg.Wait)
	})
	return r
}

// write increments the counter of writer i. The driver retries a write once. If
// that attempt fails too, this method reads the counter to learn whether the
// increment took effect.
func (r *retryingWriters) write(coll *mongo.Collection, i int) {
	ctx, cancel := context.WithTimeout(r.ctx, 2*waitLimit)
	defer cancel()
	inc := bson.D{{"$inc", bson.D{{"n", 1}}}}
	var err error
	count := &r.counts[i]
	if count.Load()%2 == 0 {
		_, err = coll.UpdateOne(ctx, bson.D{{"_id", i}}, inc, options.UpdateOne().SetUpsert(true))
	} else {
		err = coll.FindOneAndUpdate(ctx, bson.D{{"_id", i}}, inc).Err()
	}
	if err == nil {
		count.Add(1)
		return
	}
	if err := unexpected(err); err != nil {
		r.test.t.Error(err)
	}
	for ctx.Err() == nil {
		var doc struct{ N int64 }
		err := coll.FindOne(ctx, bson.D{{"_id", i}}).Decode(&doc)
		if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if n := count.Load(); doc.N != n && doc.N != n+1 {
			r.test.t.Errorf("counter %d after a write in doubt: got %d, want %d or %d", i, doc.N, n, n+1)
		}
		count.Store(doc.N)
		return
	}
}

// finish stops the writers and compares their counters with the number of
// acknowledged increments.
func (r *retryingWriters) finish() {
	t := r.test.t
	r.stop.Store(true)
	r.open()
	within(t, "stop the retrying writers", r.wg.Wait)
	coll := connect(t, r.test.addr).Database("kill").Collection("retried")
	for i := range r.counts {
		want := r.counts[i].Load()
		var doc struct{ N int64 }
		must(t, coll.FindOne(deadline(t), bson.D{{"_id", i}}).Decode(&doc))
		if doc.N != want || want == 0 {
			t.Errorf("counter %d: got %d, want %d and more than 0", i, doc.N, want)
		}
	}
}
