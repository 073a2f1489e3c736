package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/telemetry"
)

const (
	workers = 8
	// queueSize is the capacity of each worker's queue. Documents that do not fit are
	// left to the sweep.
	queueSize = 1024
	// drainTimeout limits how long Run keeps publishing after its context has ended.
	drainTimeout   = 2 * time.Second
	publishTimeout = 5 * time.Second
	// failurePause is how long the relay discards enqueued documents after a failure.
	// They are left to the sweep.
	failurePause = time.Second
)

// Config holds the dependencies of a Relay. All fields except Backlog must be set.
type Config struct {
	Store     Store
	Publisher Publisher
	Now       func() time.Time
	Log       *slog.Logger
	// Backlog is called once in every sweep, before it publishes. age is that of the oldest
	// record that was never published, among the 64 boxes that have been due for longest, or
	// zero if there is none. A box that could not be published is due from its last attempt.
	// Records that are younger than five seconds do not count: their writer's relay
	// will probably publish them. A call must not block.
	Backlog func(ctx context.Context, age time.Duration)
}

// Relay publishes the records of a Store. It is safe for concurrent use, and any number
// of relays, in any number of processes, may share a store.
type Relay struct {
	store       Store
	bus         Publisher
	now         func() time.Time
	log         *slog.Logger
	backlog     func(ctx context.Context, age time.Duration)
	queues      [workers]chan queueItem
	pausedUntil atomic.Int64 // Unix time in nanoseconds
	lostBefore  atomic.Int64 // the watermark: Unix time in milliseconds
}

// queueItem is a document that has new records.
type queueItem struct {
	document string
	span     trace.SpanContext // of the writer
	box      *Box              // as the writer inserted it; nil if it must be read
	done     chan<- error      // receives the result; nil unless PublishNow waits for it
}

// New returns a relay. It handles enqueued documents while Run runs.
func New(cfg Config) *Relay {
	r := &Relay{store: cfg.Store, bus: cfg.Publisher, now: cfg.Now, log: cfg.Log, backlog: cfg.Backlog}
	if r.backlog == nil {
		r.backlog = func(context.Context, time.Duration) {}
	}
	for i := range r.queues {
		r.queues[i] = make(chan queueItem, queueSize)
	}
	return r
}

// Enqueue asks the relay to publish the records of a document soon. It never blocks. If
// the queue is full, the records are left to the sweep.
func (r *Relay) Enqueue(ctx context.Context, document string) {
	r.enqueue(ctx, queueItem{document: document})
}

// EnqueueNew is like Enqueue for a document that was just inserted with box. The relay
// then need not read the box.
func (r *Relay) EnqueueNew(ctx context.Context, box Box) {
	r.enqueue(ctx, queueItem{document: box.Document, box: &box})
}

func (r *Relay) enqueue(ctx context.Context, item queueItem) {
	item.span = trace.SpanContextFromContext(ctx)
	select {
	case r.queueOf(item.document) <- item:
	default:
	}
}

// queueOf returns the queue of a document. The same worker handles all items of a document,
// so its records stay in order.
func (r *Relay) queueOf(document string) chan queueItem {
	h := fnv.New32a()
	_, _ = h.Write([]byte(document)) // never fails
	return r.queues[h.Sum32()%workers]
}

// PublishNow publishes the records of documents, and returns when the bus has them. Work in
// bulk calls it instead of Enqueue, once for each part of the work: it then proceeds no
// faster than its facts are published, and other documents wait behind one part only.
//
// PublishNow waits for room in the queues. If it returns an error, some records were not
// published; they are left to the sweep. PublishNow needs Run: without it, it waits until
// ctx ends.
func (r *Relay) PublishNow(ctx context.Context, documents ...string) error {
	done := make(chan error, len(documents)) // a worker never waits, even if PublishNow has returned
	span := trace.SpanContextFromContext(ctx)
	for i, document := range documents {
		select {
		case r.queueOf(document) <- queueItem{document: document, span: span, done: done}:
		case <-ctx.Done():
			return fmt.Errorf("enqueue %d of %d outboxes: %w", len(documents)-i, len(documents), ctx.Err())
		}
	}
	var first error
	failed := 0
	for i := range documents {
		select {
		case err := <-done:
			if err != nil {
				failed++
				first = cmp.Or(first, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("publish %d of %d outboxes: %w", len(documents)-i, len(documents), ctx.Err())
		}
	}
	if failed > 0 {
		return fmt.Errorf("publish %d of %d outboxes: %w", failed, len(documents), first)
	}
	return nil
}

// Run handles enqueued documents until ctx ends. It then handles those that are still
// queued, for at most two seconds, and returns ctx.Err().
func (r *Relay) Run(ctx context.Context) error {
	// The workers do not use ctx, so that its end does not interrupt a publish.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	release := context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, stop) })
	defer release()
	var wg sync.WaitGroup
	for _, queue := range r.queues {
		wg.Go(func() { r.consume(working, queue, ctx.Done()) })
	}
	wg.Wait()
	return ctx.Err()
}

// consume handles the items of a queue. It returns when ctx ends, or once stopping is
// closed and the queue is empty.
func (r *Relay) consume(ctx context.Context, queue <-chan queueItem, stopping <-chan struct{}) {
	for {
		// An item takes precedence over stopping.
		select {
		case item := <-queue:
			r.handle(ctx, item)
			continue
		default:
		}
		select {
		case item := <-queue:
			r.handle(ctx, item)
		case <-stopping:
			if len(queue) == 0 || ctx.Err() != nil {
				return
			}
		}
	}
}

// errPaused is the result of documents that the relay discards after a failure or while it
// stops.
var errPaused = errors.New("the relay is paused")

// handle publishes the records of one enqueued document. A failure pauses the relay.
func (r *Relay) handle(ctx context.Context, item queueItem) {
	err := errPaused
	if ctx.Err() == nil && r.now().UnixNano() >= r.pausedUntil.Load() {
		ctx = trace.ContextWithSpanContext(ctx, item.span)
		if err = r.relayEnqueued(ctx, item); err != nil {
			r.pausedUntil.Store(r.now().Add(failurePause).UnixNano())
			r.log.WarnContext(ctx, "publishing facts failed, the sweep will retry", telemetry.KeyError, err.Error())
		}
	}
	if item.done != nil {
		item.done <- err
	}
}
