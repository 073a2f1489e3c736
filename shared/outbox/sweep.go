package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// sweepDelay is the age from which a sweep publishes an unpublished record. A
	// younger one will probably be published by the relay of its writer.
	sweepDelay = 5 * time.Second
	// claimLease is how long a claim keeps other sweeps away from a box.
	claimLease = 30 * time.Second
	// maxClockSkew is the largest assumed difference between the clocks of the broker
	// and of an app. Synchronised clocks differ by far less. A record that was
	// published less than this after its topic was recreated is published again, which
	// is harmless.
	maxClockSkew = time.Minute

	// pageSize limits the boxes that a sweep keeps in memory.
	pageSize = 64
	// sweepers limits how many boxes a sweep publishes at the same time.
	sweepers = 8
	// maxFailures limits the failures in one part of a sweep. After that many, the bus is
	// probably unreachable. Boxes that are in progress at that time may fail as well.
	maxFailures = 3
	// maxLost limits the lost claims in one page. After that many, another relay has
	// probably handled most of the page, so the sweep reads the next one.
	maxLost = 8
	// maxTrimmedPages limits how much one sweep trims, to 9,600 boxes.
	maxTrimmedPages = 150
)

// Sweep publishes the records that a crash or a failure of the bus left unpublished, and
// those that were lost when the topic was recreated. It then removes records whose
// retention has ended. Any number of sweeps may run at the same time, because each one
// claims a box before it publishes it.
//
// Sweep continues until nothing is left to publish or ctx ends. It starts no box in the
// last five seconds before the deadline of ctx, so that it can finish those in progress.
//
// It returns the errors of the boxes that it could not publish. They remain due, so a
// later sweep handles them.
func (r *Relay) Sweep(ctx context.Context) error {
	watermark, err := r.store.Watermark(ctx)
	if err != nil {
		return fmt.Errorf("read the watermark of outboxes: %w", err)
	}
	r.raiseWatermark(watermark)
	starting, stop := untilLate(ctx)
	defer stop()
	isFirstPage := true
	due := func() ([]Box, error) {
		boxes, err := r.store.DueBoxes(ctx, r.now().Add(-sweepDelay), pageSize)
		if err == nil && isFirstPage {
			isFirstPage = false
			r.backlog(ctx, ageOfOldest(boxes, r.now()))
		}
		return boxes, err
	}
	// Each part has its own limit of failures, so that a failing one does not keep the
	// others from being swept.
	return errors.Join(
		r.publishPages(ctx, starting, due),
		r.publishPages(ctx, starting, func() ([]Box, error) { return r.lostBoxes(ctx) }),
		r.trim(ctx, starting),
		ctx.Err())
}

// untilLate returns a copy of ctx that ends publishTimeout before the deadline of ctx.
func untilLate(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-publishTimeout))
	}
	return context.WithCancel(ctx)
}

// lostBoxes returns a page of the boxes that have a record published before the watermark,
// and are not due. The oldest record of such a box was published before the watermark, so
// the trim time is before watermark + retention. If that time has passed, all these records
// have expired, and lostBoxes returns nothing: trimming will remove them.
func (r *Relay) lostBoxes(ctx context.Context) ([]Box, error) {
	end := r.watermark().Add(retention)
	if !end.After(r.now()) {
		return nil, nil
	}
	return r.store.RetainedBoxes(ctx, end, pageSize)
}

// ageOfOldest returns the age of the oldest record in boxes that was never published, or
// zero if there is none.
func ageOfOldest(boxes []Box, now time.Time) time.Duration {
	var oldest time.Duration
	for _, box := range boxes {
		for _, rec := range box.Records {
			if rec.SentAt.IsZero() {
				oldest = max(oldest, now.Sub(rec.At))
			}
		}
	}
	return oldest
}

// publishPages publishes boxes page by page, until find returns less than a page, too many
// boxes have failed or starting ends. A box that was claimed or saved is no longer found, so
// find always returns the first page.
func (r *Relay) publishPages(ctx, starting context.Context, find func() ([]Box, error)) error {
	var failures []error
	for starting.Err() == nil && len(failures) < maxFailures {
		boxes, err := find()
		if err != nil {
			failures = append(failures, fmt.Errorf("find outboxes to publish: %w", err))
			break
		}
		p := &page{starting: starting.Done(), failuresLeft: maxFailures - len(failures)}
		var settled []Box
		for _, box := range boxes {
			if r.hasWork(box) {
				p.boxes = append(p.boxes, box)
			} else {
				settled = append(settled, box)
			}
		}
		r.publishPage(ctx, p)
		failures = append(failures, p.failures...)
		if _, err := r.settle(ctx, settled); err != nil {
			failures = append(failures, err)
		}
		if len(boxes) < pageSize && len(p.boxes) == 0 {
			break
		}
	}
	return errors.Join(failures...)
}

// hasWork reports whether a record of a box needs publishing.
func (r *Relay) hasWork(box Box) bool {
	watermark, now := r.watermark(), r.now()
	return slices.ContainsFunc(box.Records, func(rec Record) bool {
		return needsPublishing(rec, watermark) && !isExpired(rec, now)
	})
}

// page is the boxes that a sweep publishes at the same time. It is safe for concurrent use.
type page struct {
	starting     <-chan struct{} // closed once no more box may be started
	failuresLeft int             // how many failures end the page

	mu       sync.Mutex
	boxes    []Box // not started yet
	lost     int   // boxes that changed before they were claimed
	failures []error
}

// publishPage publishes the boxes of a page in a random order, several at the same time.
// Boxes that it did not start remain in the page.
func (r *Relay) publishPage(ctx context.Context, p *page) {
	rand.Shuffle(len(p.boxes), func(i, j int) { //nolint:gosec // other relays need another order, not an unpredictable one
		p.boxes[i], p.boxes[j] = p.boxes[j], p.boxes[i]
	})
	var wg sync.WaitGroup
	for range min(sweepers, len(p.boxes)) {
		wg.Go(func() {
			for box, ok := p.take(); ok; box, ok = p.take() {
				p.add(r.relayClaimed(ctx, box))
			}
		})
	}
	wg.Wait()
}

// take removes a box from the page. It reports false if no more box must be started.
func (p *page) take() (Box, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.starting:
		return Box{}, false
	default:
	}
	if len(p.boxes) == 0 || p.lost >= maxLost || len(p.failures) >= p.failuresLeft {
		return Box{}, false
	}
	box := p.boxes[0]
	p.boxes = p.boxes[1:]
	return box, true
}

// add adds the result of one box.
func (p *page) add(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, ErrStale):
		p.lost++
	case err != nil:
		p.failures = append(p.failures, err)
	}
}

// trim removes records whose retention has ended, oldest first. It stops after
// maxTrimmedPages, or when another relay trims the same boxes.
func (r *Relay) trim(ctx, starting context.Context) error {
	for range maxTrimmedPages {
		if starting.Err() != nil {
			return nil
		}
		boxes, err := r.store.RetainedBoxes(ctx, r.now(), pageSize)
		if err != nil {
			return fmt.Errorf("find outboxes to trim: %w", err)
		}
		stale, err := r.settle(ctx, boxes)
		if err != nil {
			return err
		}
		if len(boxes) < pageSize || stale > len(boxes)/2 {
			return nil
		}
	}
	return nil
}

// settle saves boxes without their expired records and sets their times. It publishes
// nothing, so it takes no claims. It saves all boxes at the same time, because a store may
// combine concurrent saves. It returns the number of boxes that have changed since they were
// read, and one of the other errors.
func (r *Relay) settle(ctx context.Context, boxes []Box) (stale int, failure error) {
	errs := make([]error, len(boxes))
	var wg sync.WaitGroup
	for i, box := range boxes {
		wg.Go(func() {
			now := r.now()
			next := Box{Document: box.Document, Version: box.Version}
			for _, rec := range box.Records {
				if !isExpired(rec, now) {
					next.Records = append(next.Records, rec)
				}
			}
			next.Due, next.Trim = times(next.Records, r.watermark(), now)
			errs[i] = r.store.SaveBox(ctx, next)
		})
	}
	wg.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, ErrStale):
			stale++
		case err != nil:
			failure = fmt.Errorf("trim outbox of %s: %w", boxes[i].Document, err)
		}
	}
	return stale, failure
}

// Rewind declares that the topic was recreated at the given time, and that it lost every
// fact that was published before. The sweeps of all processes then publish the lost
// facts again, except those whose retention has ended. Rewind returns nil once the
// watermark is stored. It is idempotent.
//
// Rewind returns ErrFuture if the time is in the future by more than clocks may differ. The
// watermark never decreases, so such a time would make all later facts count as lost.
func (r *Relay) Rewind(ctx context.Context, recreated time.Time) error {
	if recreated.After(r.now().Add(maxClockSkew)) {
		return ErrFuture
	}
	watermark := recreated.Add(maxClockSkew).UTC().Truncate(time.Millisecond)
	if err := r.store.RaiseWatermark(ctx, watermark); err != nil {
		return fmt.Errorf("rewind outboxes: %w", err)
	}
	r.raiseWatermark(watermark)
	return nil
}

// raiseWatermark sets the relay's copy of the watermark to t, unless it is already
// later.
func (r *Relay) raiseWatermark(t time.Time) {
	next := t.UnixMilli()
	for {
		current := r.lostBefore.Load()
		if next <= current || r.lostBefore.CompareAndSwap(current, next) {
			return
		}
	}
}

// watermark returns the relay's copy of the watermark. It is never the zero time, so a
// record that was never published counts as published before it.
func (r *Relay) watermark() time.Time { return time.UnixMilli(r.lostBefore.Load()).UTC() }
