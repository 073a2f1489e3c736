package event

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// foldAfter is the age at which an entry of a capacity log is folded.
	foldAfter = 30 * 24 * time.Hour
	// foldBatch limits the entries that are folded or deleted at once. It must exceed the
	// number of entries of one write.
	foldBatch = 1000
	// maxFoldPasses limits how often one cleanup looks for logs with old entries.
	maxFoldPasses = 20
)

// foldLogs folds the entries that are older than foldAfter into the opening entries of their
// events. A cleanup that ends early is continued by the next one. Any number of processes may
// fold concurrently.
func (s *Service) foldLogs(ctx context.Context) error {
	before := s.now().Add(-foldAfter)
	for range maxFoldPasses {
		ids, err := s.log.OldLogs(ctx, before, foldBatch)
		if err != nil {
			return fmt.Errorf("find old capacity logs: %w", err)
		}
		var failed []error
		for _, id := range ids {
			if err := s.foldLog(ctx, id, before); err != nil {
				failed = append(failed, fmt.Errorf("fold the capacity log of event %s: %w", id, err))
			}
		}
		if len(ids) == 0 || len(failed) > 0 {
			return errors.Join(failed...)
		}
	}
	return nil
}

// foldLog folds the entries of one event that were made before the given time. If the event
// is gone, it deletes them.
//
// The write of the opening entry is the commit point of a fold. From then on readers ignore
// the folded entries, so it does not matter when they are deleted. If a process that was
// suspended inserts a folded entry again, a later fold deletes it.
func (s *Service) foldLog(ctx context.Context, eventID string, before time.Time) error {
	e, err := s.events.GetEvent(ctx, eventID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return s.DeleteCapacityLog(ctx, eventID)
	case err != nil:
		return err
	}
	// An entry that is not logged yet must not be left out of the sum.
	if err := s.logAll(ctx, e); err != nil {
		return err
	}
	for {
		if err := s.deleteEntries(ctx, eventID, e.Opening.Through); err != nil {
			return err
		}
		entries, err := s.log.OldestEntries(ctx, eventID, e.Opening.Through, foldBatch)
		if err != nil {
			return err
		}
		next := e.Opening.fold(wholeWrites(entries), before)
		if next.Through == e.Opening.Through {
			return nil
		}
		switch err := s.events.WriteOpening(ctx, eventID, e.Opening.Through, next); {
		case errors.Is(err, ErrStale):
			return nil // another process folds this log, or the event is gone
		case err != nil:
			return err
		}
		e.Opening = next
	}
}

// wholeWrites returns the entries, which are the oldest ones of a log, without those of the
// last write if there may be more entries of that write.
func wholeWrites(entries []Entry) []Entry {
	n := len(entries)
	if n < foldBatch {
		return entries
	}
	for last := entries[n-1].Version; n > 0 && entries[n-1].Version == last; {
		n--
	}
	return entries[:n]
}

// fold returns the opening entry that includes the entries up to the first write that was
// made at the given time or later. The entries follow those that o includes. The entries of
// one write have the same time, so a fold never divides them.
func (o Opening) fold(entries []Entry, before time.Time) Opening {
	for _, e := range entries {
		if !e.At.Before(before) {
			return o
		}
		o.Through, o.Sum = e.Version, o.Sum.Plus(e.Change)
		if e.At.After(o.At) {
			o.At = e.At
		}
	}
	return o
}

// deleteEntries deletes the entries of an event up to a version.
func (s *Service) deleteEntries(ctx context.Context, eventID string, through int64) error {
	for {
		n, err := s.log.DeleteEntries(ctx, eventID, through, foldBatch)
		if err != nil || n < foldBatch {
			return err
		}
	}
}

// tryDeleteLog deletes the log of an event that was just deleted. It ignores failures: nobody
// can read the log any more, and the entries that are left are deleted at the age of foldAfter.
func (s *Service) tryDeleteLog(ctx context.Context, eventID string) {
	_ = s.DeleteCapacityLog(ctx, eventID)
}

// DeleteCapacityLog deletes all entries of an event that was deleted. It may be repeated
// after a failure.
func (s *Service) DeleteCapacityLog(ctx context.Context, eventID string) error {
	if err := s.deleteEntries(ctx, eventID, math.MaxInt64); err != nil {
		return fmt.Errorf("delete the capacity log of event %s: %w", eventID, err)
	}
	return nil
}
