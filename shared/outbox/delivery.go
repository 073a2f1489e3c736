package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// retention is how long a published record stays in its box.
	retention = 24 * time.Hour
	// maxAttempts limits how often a delivery saves a box.
	maxAttempts = 16
)

// relayEnqueued publishes the records of a document that its writer enqueued. It takes
// no claim, because that would cost a write for each fact. If another relay handles the
// same box at the same time, a record may be published twice.
func (r *Relay) relayEnqueued(ctx context.Context, item queueItem) error {
	if item.box != nil {
		return r.deliver(ctx, delivery{box: *item.box})
	}
	box, err := r.readBox(ctx, item.document)
	if box == nil {
		return err
	}
	return r.deliver(ctx, delivery{box: *box})
}

// relayClaimed claims a box that a sweep has read, and publishes its records. It returns
// ErrStale if the box has changed since, for example because another relay has claimed it.
func (r *Relay) relayClaimed(ctx context.Context, box Box) error {
	switch err := r.store.ClaimBox(ctx, box, r.now().Add(claimLease)); {
	case errors.Is(err, ErrStale):
		return ErrStale
	case err != nil:
		return fmt.Errorf("claim outbox of %s: %w", box.Document, err)
	}
	box.Version++ // the claim increased it
	return r.deliver(ctx, delivery{box: box, claimed: true})
}

// readBox returns the box of a document, or nil without an error if there is no such
// document.
func (r *Relay) readBox(ctx context.Context, document string) (*Box, error) {
	box, err := r.store.Box(ctx, document)
	switch {
	case errors.Is(err, ErrNoBox):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read outbox of %s: %w", document, err)
	}
	return &box, nil
}

// delivery is the state of publishing one box.
type delivery struct {
	box     Box                  // as it was last read
	claimed bool                 // whether a claim has replaced the times of the box
	sentAt  map[string]time.Time // when this delivery published records, by record id
}

// deliver publishes the records of a box and saves the times at which it did so. Records
// that a writer adds meanwhile make the save stale; deliver then reads the box again and
// publishes only the new ones.
//
// deliver does not use cas.Retry. A stale save loses no work: the next attempt publishes
// only the records that were added since, and a back-off would delay them. No client
// waits for the outcome. After maxAttempts the box is still due, so a sweep continues.
func (r *Relay) deliver(ctx context.Context, d delivery) error {
	document := d.box.Document
	d.sentAt = map[string]time.Time{}
	for attempt := 1; ; attempt++ {
		watermark := r.watermark()
		records, publishErr := r.publishRecords(ctx, d, watermark)
		if !d.claimed && isUnchanged(d.box.Records, records) {
			return publishErr
		}
		next := Box{Document: document, Version: d.box.Version, Records: records}
		next.Due, next.Trim = times(records, watermark, r.now())
		saveErr := r.store.SaveBox(ctx, next)
		if !errors.Is(saveErr, ErrStale) {
			if saveErr != nil {
				saveErr = fmt.Errorf("save outbox of %s: %w", document, saveErr)
			}
			return errors.Join(publishErr, saveErr)
		}
		if publishErr != nil {
			return publishErr
		}
		if attempt == maxAttempts {
			return fmt.Errorf("the outbox of %s keeps changing", document)
		}
		box, err := r.readBox(ctx, document)
		if box == nil {
			return err
		}
		// The write that made the save stale also replaced the due time of the claim.
		d.box, d.claimed = *box, false
	}
}

// publishRecords publishes the records of d.box that were not published since the
// watermark, in order and up to the first failure. It adds the times of publishing to
// d.sentAt. It returns the records to save: those whose retention has not ended, with
// the times in d.sentAt.
func (r *Relay) publishRecords(ctx context.Context, d delivery, watermark time.Time) (records []Record, failure error) {
	for _, rec := range d.box.Records {
		if isExpired(rec, r.now()) {
			continue
		}
		rec.SentAt = latest(rec.SentAt, d.sentAt[rec.ID])
		if failure == nil && needsPublishing(rec, watermark) {
			// The clock is read before publishing, so that the record counts as lost
			// if the topic is recreated during the call. The time is never before the
			// watermark: the topic that the watermark stands for exists already, so it
			// receives the record even if this clock is behind.
			now := latest(r.now().UTC().Truncate(time.Millisecond), watermark)
			if failure = r.publishOne(ctx, rec); failure == nil {
				rec.SentAt, d.sentAt[rec.ID] = now, now
			}
		}
		records = append(records, rec)
	}
	return records, failure
}

func (r *Relay) publishOne(ctx context.Context, rec Record) error {
	ctx, cancel := context.WithTimeout(withTraceOf(ctx, rec), publishTimeout)
	defer cancel()
	if err := r.bus.Publish(ctx, rec); err != nil {
		return fmt.Errorf("publish %s of %s: %w", rec.Type, rec.Subject, err)
	}
	return nil
}

// needsPublishing reports whether a record was never published, or only before the
// watermark. It relies on Relay.watermark, which is always after the zero time.
func needsPublishing(rec Record, watermark time.Time) bool { return rec.SentAt.Before(watermark) }

// isExpired reports whether the retention of a published record has ended.
func isExpired(rec Record, now time.Time) bool {
	return !rec.SentAt.IsZero() && !now.Before(rec.SentAt.Add(retention))
}

// isUnchanged reports whether the records to save are those that were read. Publishing
// only removes records or changes the times at which they were sent.
func isUnchanged(read, next []Record) bool {
	if len(read) != len(next) {
		return false
	}
	for i := range read {
		if !read[i].SentAt.Equal(next[i].SentAt) {
			return false
		}
	}
	return true
}

// times returns the due time and the trim time of a box with these records, of which
// exactly one is set unless there are no records. The box is due now if a record needs
// publishing. Otherwise it is trimmed when the first retention ends.
func times(records []Record, watermark, now time.Time) (due, trim time.Time) {
	for _, rec := range records {
		if needsPublishing(rec, watermark) {
			return now, time.Time{}
		}
		if end := rec.SentAt.Add(retention); trim.IsZero() || end.Before(trim) {
			trim = end
		}
	}
	return time.Time{}, trim
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
