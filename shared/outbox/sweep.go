package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// sweepDelay is how old an unpublished record is when the sweep publishes it. Until
	// then the relay of its writer probably does.
	sweepDelay = 5 * time.Second
	// claimLease is how long a claim keeps other sweeps away from a box.
	claimLease = 30 * time.Second
	// maxClockSkew is the largest assumed difference between the clocks of the broker
	// and of an app. Synchronised clocks differ by far less. A record that was sent
	// less than this after its topic was recreated is published again, which is
	// harmless.
	maxClockSkew = time.Minute

	pageSize = 100
	// maxFailures ends a sweep: the bus is probably unreachable.
	maxFailures = 3
)

// Sweep publishes the records that were left unpublished by a crash, by a failure of
// the bus or by a recreated topic, and removes those whose retention has ended. Any
// number of sweeps may run at the same time, because each one claims a box before it
// handles it.
//
// It returns the errors of the boxes that it could not publish. They remain due, so a
// later sweep handles them.
func (r *Relay) Sweep(ctx context.Context) error {
	watermark, err := r.store.Watermark(ctx)
	if err != nil {
		return fmt.Errorf("read the watermark of outboxes: %w", err)
	}
	r.raiseWatermark(watermark)
	// Each window has its own limit of failures, so that a failing one does not keep
	// the other from being swept.
	return errors.Join(r.sweep(ctx, r.overdueWindow), r.sweep(ctx, r.rewoundWindow))
}

// window is a range of due times that a sweep handles: from <= due < to.
type window struct{ from, to time.Time }

func (w window) isEmpty() bool { return !w.from.Before(w.to) }

func (w window) contains(due time.Time) bool {
	return !due.IsZero() && !due.Before(w.from) && due.Before(w.to)
}

// overdueWindow contains the boxes whose due time has passed: they have an unpublished
// record, an expired claim or a record whose retention has ended.
func (r *Relay) overdueWindow() window { return window{to: r.now().Add(-sweepDelay)} }

// rewoundWindow contains the boxes at rest that have a record published before the
// watermark. A box at rest is due one retention after its oldest record was published,
// hence before watermark + retention.
//
// Boxes with unpublished records and claimed boxes are excluded: they are due by now, or
// when their claims expire, which is at most claimLease from now. The window starts at twice that,
// because the relay with the claim may have another clock.
func (r *Relay) rewoundWindow() window {
	return window{from: r.now().Add(2 * claimLease), to: r.watermark().Add(retention)}
}

// isDue reports whether due lies in one of the sweep windows.
func (r *Relay) isDue(due time.Time) bool {
	return r.overdueWindow().contains(due) || r.rewoundWindow().contains(due)
}

// sweep publishes the boxes in a window, page by page. A box leaves the window when it
// is claimed, so every page is the first one.
func (r *Relay) sweep(ctx context.Context, current func() window) error {
	var failures []error
	for {
		w := current()
		if w.isEmpty() {
			return errors.Join(failures...)
		}
		documents, err := r.store.DueBoxes(ctx, w.from, w.to, pageSize)
		if err != nil {
			return errors.Join(append(failures, fmt.Errorf("find due outboxes: %w", err))...)
		}
		for _, document := range documents {
			if err := r.relayDue(ctx, document); err != nil {
				failures = append(failures, err)
			}
			if len(failures) >= maxFailures {
				return errors.Join(failures...)
			}
		}
		if len(documents) < pageSize {
			return errors.Join(failures...)
		}
	}
}

// Rewind declares that the topic was recreated at the given time and has lost every
// fact that was published before. The sweeps of all processes then publish those
// again whose retention has not ended. Rewind returns nil once the watermark is stored.
// It is idempotent.
func (r *Relay) Rewind(ctx context.Context, recreated time.Time) error {
	watermark := recreated.Add(maxClockSkew).UTC().Truncate(time.Millisecond)
	if err := r.store.RaiseWatermark(ctx, watermark); err != nil {
		return fmt.Errorf("rewind outboxes: %w", err)
	}
	r.raiseWatermark(watermark)
	return nil
}

// raiseWatermark sets the relay's copy of the watermark to t, unless it is later
// already.
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
