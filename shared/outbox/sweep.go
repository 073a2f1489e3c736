package outbox

import (
	"context"
	"errors"
	"fmt"
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

	pageSize = 100
	// maxFailures limits the failures in one window of a sweep. After that many, the bus
	// is probably unreachable.
	maxFailures = 3
)

// Sweep publishes the records that a crash or a failure of the bus left unpublished, and
// those that were lost when the topic was recreated. It removes records whose retention
// has ended. Any number of sweeps may run at the same time, because each one claims a
// box before it handles it.
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

// rewoundWindow contains the boxes that have a record published before the watermark,
// and neither an unpublished record nor a claim. Such a box is due one retention after
// its oldest record was published, hence before watermark + retention.
//
// The start of the window excludes boxes with unpublished records, which are due by now,
// and claimed boxes, which are due when their claims expire: at most claimLease from now.
// The window starts at twice claimLease, because the clock of the relay that made the
// claim may be ahead.
func (r *Relay) rewoundWindow() window {
	return window{from: r.now().Add(2 * claimLease), to: r.watermark().Add(retention)}
}

// isDue reports whether due lies in one of the sweep windows.
func (r *Relay) isDue(due time.Time) bool {
	return r.overdueWindow().contains(due) || r.rewoundWindow().contains(due)
}

// sweep publishes the boxes in a window, page by page. A box leaves the window when it
// is claimed, so sweep always asks for the first page.
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

// Rewind declares that the topic was recreated at the given time, and that it lost every
// fact that was published before. The sweeps of all processes then publish the lost
// facts again, except those whose retention has ended. Rewind returns nil once the
// watermark is stored. It is idempotent.
func (r *Relay) Rewind(ctx context.Context, recreated time.Time) error {
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
