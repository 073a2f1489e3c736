package outbox

import (
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
	workers    = 8
	queued     = 1024 // for each worker; what does not fit waits for the sweep
	drainFor   = 2 * time.Second
	publishFor = 5 * time.Second

	// keepFor is how long a published record stays.
	keepFor = 24 * time.Hour
	// grace is how long the sweep leaves a new record to who feeds it.
	grace = 5 * time.Second
	// claimFor is how long a sweep has a document to itself.
	claimFor = 30 * time.Second
	// pauseFor is how long nothing is tried that was queueItem, after a failure.
	pauseFor = time.Second
	// skew is by how much the broker's clock and an app's may differ. What was sent
	// less than that after a topic was made anew may have been sent before: it is
	// sent again, and nobody minds. Clocks that are kept differ by far less.
	skew = time.Minute

	batch     = 100
	maxRounds = 16
	// maxFailures ends a sweep: the bus is away.
	maxFailures = 3
)

// Config is what a Relay needs. All fields must be set.
type Config struct {
	Store     Store
	Publisher Publisher
	Now       func() time.Time
	Log       *slog.Logger
}

// Relay publishes records. It is safe for concurrent use, and any number of them
// may work on one store.
type Relay struct {
	store  Store
	bus    Publisher
	now    func() time.Time
	log    *slog.Logger
	queues [workers]chan queueItem
	paused atomic.Int64 // until then, in unix nanoseconds
	since  atomic.Int64 // what was sent before is lost, in unix milliseconds
}

// queueItem is a document that has something new, in the trace of who wrote it.
type queueItem struct {
	document string
	span     trace.SpanContext
	box      *Box // as it was written; nil when it must be read
}

// New returns a relay that works once it is run.
func New(cfg Config) *Relay {
	r := &Relay{store: cfg.Store, bus: cfg.Publisher, now: cfg.Now, log: cfg.Log}
	for i := range r.queues {
		r.queues[i] = make(chan queueItem, queued)
	}
	return r
}

// Enqueue says that a document has records to publish. It never waits.
func (r *Relay) Enqueue(ctx context.Context, document string) {
	r.enqueue(ctx, queueItem{document: document})
}

// EnqueueNew says that a document was inserted with a box, in ctx. It never waits.
func (r *Relay) EnqueueNew(ctx context.Context, box Box) {
	r.enqueue(ctx, queueItem{document: box.Document, box: &box})
}

func (r *Relay) enqueue(ctx context.Context, f queueItem) {
	f.span = trace.SpanContextFromContext(ctx)
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.document)) // never fails
	select {
	// One worker for each document, so that its records are not passed by others.
	case r.queues[h.Sum32()%workers] <- f:
	default:
	}
}

// Run publishes what is queueItem until ctx ends, and then for a moment what was queueItem
// before.
func (r *Relay) Run(ctx context.Context) error {
	// What is under way when the program stops is finished, not cut off.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	release := context.AfterFunc(ctx, func() { time.AfterFunc(drainFor, stop) })
	defer release()
	var wg sync.WaitGroup
	for _, queue := range r.queues {
		wg.Go(func() { r.work(ctx, working, queue) })
	}
	wg.Wait()
	return ctx.Err()
}

// work takes from a queue until until ends and the queue is empty.
func (r *Relay) work(until, ctx context.Context, queue <-chan queueItem) {
	for {
		select {
		case f := <-queue:
			r.take(ctx, f)
			continue
		default:
		}
		select {
		case f := <-queue:
			r.take(ctx, f)
		case <-until.Done():
			if len(queue) == 0 || ctx.Err() != nil {
				return
			}
		}
	}
}

// take publishes what was queueItem. After a failure the sweep does.
func (r *Relay) take(ctx context.Context, f queueItem) {
	if ctx.Err() != nil || r.now().UnixNano() < r.paused.Load() {
		return
	}
	ctx = trace.ContextWithSpanContext(ctx, f.span)
	if err := r.relay(ctx, f, false); err != nil {
		r.paused.Store(r.now().Add(pauseFor).UnixNano())
		r.log.WarnContext(ctx, "facts wait to be published", telemetry.KeyError, err.Error())
	}
}

// Rewind says that the topic was made at a time, and is without what was sent
// before. The sweeps send it again, here and in other processes, as far as it is
// still there. Once it is written down that they will, Rewind returns nil; to say
// the same again changes nothing.
func (r *Relay) Rewind(ctx context.Context, made time.Time) error {
	since := made.Add(skew).UTC().Truncate(time.Millisecond)
	if err := r.store.Rewind(ctx, since); err != nil {
		return fmt.Errorf("rewind outboxes: %w", err)
	}
	r.raise(since)
	return nil
}

// raise never lowers.
func (r *Relay) raise(since time.Time) {
	for {
		was := r.since.Load()
		if since.UnixMilli() <= was || r.since.CompareAndSwap(was, since.UnixMilli()) {
			return
		}
	}
}

// sentSince is from when on what was sent counts as sent. It is after the zero
// time, so that a record which was never sent needs no case of its own.
func (r *Relay) sentSince() time.Time { return time.UnixMilli(r.since.Load()).UTC() }

// Sweep publishes what a crash, the bus or a topic that was made anew left, and
// drops what was published long ago. It may run anywhere, any number of times and
// at once: each document is claimed first.
func (r *Relay) Sweep(ctx context.Context) error {
	since, err := r.store.Since(ctx)
	if err != nil {
		return fmt.Errorf("read since when facts count as sent: %w", err)
	}
	r.raise(since)
	// Each may fail as often, so that what always fails does not keep the other.
	return errors.Join(r.sweep(ctx, r.overdue), r.sweep(ctx, r.outdated))
}

// window is from when until when boxes are due that a sweep takes.
type window func() (from, to time.Time)

// overdue boxes wait for the sweep.
func (r *Relay) overdue() (from, to time.Time) { return time.Time{}, r.now().Add(-grace) }

// outdated boxes rest, and have something that was sent before what counts as
// sent. A box rests until a record of it has been there for its day, so these are
// due sooner than all others but those that wait or are claimed: a claim may end a
// bit later than here, by another clock.
func (r *Relay) outdated() (from, to time.Time) {
	return r.now().Add(2 * claimFor), r.sentSince().Add(keepFor)
}

// takes reports whether one of the windows has a box that is due then.
func (r *Relay) takes(due time.Time) bool {
	for _, w := range []window{r.overdue, r.outdated} {
		if from, to := w(); !due.IsZero() && !due.Before(from) && due.Before(to) {
			return true
		}
	}
	return false
}

// sweep publishes what a window has.
func (r *Relay) sweep(ctx context.Context, w window) error {
	var failed []error
	for {
		from, to := w()
		if !from.Before(to) {
			return errors.Join(failed...)
		}
		due, err := r.store.DueBoxes(ctx, from, to, batch)
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("find due outboxes: %w", err))...)
		}
		for _, document := range due {
			if err := r.relay(ctx, queueItem{document: document}, true); err != nil {
				failed = append(failed, err)
			}
			if len(failed) >= maxFailures {
				return errors.Join(failed...)
			}
		}
		if len(due) < batch {
			return errors.Join(failed...)
		}
	}
}

// relay publishes what a document has, and looks again when more came meanwhile.
func (r *Relay) relay(ctx context.Context, f queueItem, claim bool) error {
	document, sent := f.document, map[string]time.Time{}
	for range maxRounds {
		box, err := r.box(ctx, &f)
		if errors.Is(err, ErrNoBox) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read outbox of %s: %w", document, err)
		}
		if claim {
			// It may have been claimed, or done, since it was found to be due.
			if !r.takes(box.Due) {
				return nil
			}
			switch err := r.store.ClaimBox(ctx, box, r.now().Add(claimFor)); {
			case errors.Is(err, ErrStale):
				return nil // somebody else is at it
			case err != nil:
				return fmt.Errorf("claim outbox of %s: %w", document, err)
			}
			box.Version++
		}
		since := r.sentSince()
		next, changed, failed := r.publish(ctx, box, sent, since)
		if !changed && !claim {
			return failed
		}
		if err := r.store.SaveBox(ctx, next, r.due(next, since)); !errors.Is(err, ErrStale) {
			if err != nil {
				err = fmt.Errorf("save outbox of %s: %w", document, err)
			}
			return errors.Join(failed, err)
		}
		if failed != nil {
			return failed
		}
		claim = false
	}
	return fmt.Errorf("the outbox of %s keeps changing", document)
}

// box returns what was queueItem, the first time, and reads it then.
func (r *Relay) box(ctx context.Context, f *queueItem) (Box, error) {
	if f.box == nil {
		return r.store.Box(ctx, f.document)
	}
	box := *f.box
	f.box = nil
	return box, nil
}

// publish publishes the records that were not sent since a time, up to the first
// failure, and returns the box that is left. sent has when earlier rounds sent
// some.
func (r *Relay) publish(ctx context.Context, box Box, sent map[string]time.Time, since time.Time) (next Box, changed bool, failed error) {
	next = Box{Document: box.Document, Version: box.Version}
	for _, rec := range box.Records {
		if !rec.SentAt.IsZero() && !r.now().Before(rec.SentAt.Add(keepFor)) {
			changed = true
			continue
		}
		at := later(rec.SentAt, sent[rec.ID])
		if at.Before(since) && failed == nil {
			// The time is taken first: a topic that is made anew while this is on its
			// way is younger. One that is known to have been made anew is what this
			// goes to, whatever the clocks say.
			now := later(r.now().UTC().Truncate(time.Millisecond), since)
			if failed = r.publishOne(ctx, rec); failed == nil {
				at = now
				sent[rec.ID] = now
			}
		}
		if !at.Equal(rec.SentAt) {
			rec.SentAt, changed = at, true
		}
		next.Records = append(next.Records, rec)
	}
	return next, changed, failed
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *Relay) publishOne(ctx context.Context, rec Record) error {
	ctx, cancel := context.WithTimeout(traced(ctx, rec), publishFor)
	defer cancel()
	if err := r.bus.Publish(ctx, rec); err != nil {
		return fmt.Errorf("publish %s of %s: %w", rec.Type, rec.Subject, err)
	}
	return nil
}

// due is from when somebody must look at a box again.
func (r *Relay) due(box Box, since time.Time) time.Time {
	var due time.Time
	for _, rec := range box.Records {
		at := rec.SentAt.Add(keepFor)
		if rec.SentAt.Before(since) {
			at = r.now()
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}
