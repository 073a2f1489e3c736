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

// retrying are writers whose driver sends a write again when the server died
// under it. They know of no doubt: each of their writes is carried out once.
// They pause in most rounds, for the driver keeps a processor busy while it
// looks for a server, half a second each time.
type retrying struct {
	w       *killWorld
	ctx     context.Context
	cancel  context.CancelFunc
	gate    sync.RWMutex // held while they pause
	paused  bool
	stop    atomic.Bool
	wg      sync.WaitGroup
	retried atomic.Int64 // tries that failed
	counts  []atomic.Int64
	before  int64 // retried when the last round with them began
	through int64 // tries that a kill made fail
}

func (r *retrying) resume() {
	r.open()
	for i := range r.counts { // each has found the server
		from := r.counts[i].Load()
		eventually(r.w.t, "a writer that retries goes on", func() bool { return r.counts[i].Load() > from+1 })
	}
	r.before = r.retried.Load()
}

func (r *retrying) open() {
	if r.paused {
		r.paused = false
		r.gate.Unlock()
	}
}

func (r *retrying) pause() {
	within(r.w.t, "writers that retry", r.gate.Lock)
	r.paused = true
	r.through += r.retried.Load() - r.before
}

func (w *killWorld) startRetrying(n int) *retrying {
	r := &retrying{w: w, counts: make([]atomic.Int64, n)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.pause()
	for i := range n {
		client := connect(w.t, w.addr, options.Client().SetRetryWrites(true).SetHeartbeatInterval(500*time.Millisecond).
			SetMonitor(&event.CommandMonitor{Failed: func(_ context.Context, e *event.CommandFailedEvent) {
				if e.CommandName != "find" {
					r.retried.Add(1)
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
	w.t.Cleanup(func() { // also where the test gave up
		r.stop.Store(true)
		r.cancel()
		r.open()
		within(w.t, "writers that retry", r.wg.Wait)
	})
	return r
}

// write increments a counter. Where the second try failed too the driver
// returns an error, and the counter is looked up.
func (r *retrying) write(coll *mongo.Collection, i int) {
	ctx, cancel := context.WithTimeout(r.ctx, 2*patience)
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
		r.w.t.Error(err)
	}
	for ctx.Err() == nil {
		var doc struct{ N int64 }
		err := coll.FindOne(ctx, bson.D{{"_id", i}}).Decode(&doc)
		if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if n := count.Load(); doc.N != n && doc.N != n+1 {
			r.w.t.Errorf("counter %d is %d behind a write in doubt, %d were acknowledged", i, doc.N, n)
		}
		count.Store(doc.N)
		return
	}
}

// finish stops the writers and compares their counters.
func (r *retrying) finish() {
	t := r.w.t
	r.stop.Store(true)
	r.open()
	within(t, "writers that retry", r.wg.Wait)
	coll := connect(t, r.w.addr).Database("kill").Collection("retried")
	for i := range r.counts {
		want := r.counts[i].Load()
		var doc struct{ N int64 }
		must(t, coll.FindOne(deadline(t), bson.D{{"_id", i}}).Decode(&doc))
		if doc.N != want || want == 0 {
			t.Errorf("counter %d is %d, want %d: each write once", i, doc.N, want)
		}
	}
}
