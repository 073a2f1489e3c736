package event

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// sweepMarks finishes the steps of old marks and logs old entries, and removes both from
// their events. Recent ones are left to the next moves of their events.
func (s *Service) sweepMarks(ctx context.Context) error {
	before := s.now().Add(-s.settleAfter)
	return errors.Join(
		s.sweepEvents(ctx, before, s.catalogue.MarkedEvents),
		s.sweepEvents(ctx, before, s.catalogue.UnloggedEvents),
	)
}

// sweepEvents clears the marks and entries of the events that find returns, page by page. An
// event that was cleared is not found again. sweepEvents stops after a page of which no event
// was cleared.
//
// Sweeps of several processes find the same events, and handle each page in an order of their
// own. An event that another sweep has cleared meanwhile costs one read.
func (s *Service) sweepEvents(ctx context.Context, before time.Time,
	find func(ctx context.Context, before time.Time, limit int) ([]string, error),
) error {
	var failed []error
	for ctx.Err() == nil {
		page, err := find(ctx, before, sweepPage)
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("find events to sweep: %w", err))...)
		}
		rand.Shuffle(len(page), func(i, j int) { page[i], page[j] = page[j], page[i] }) //nolint:gosec // not a secret
		cleared := 0
		for _, id := range page {
			isCleared, err := s.sweepEvent(ctx, id, before)
			if isCleared {
				cleared++
			}
			if err != nil && len(failed) < maxReported {
				failed = append(failed, fmt.Errorf("sweep marks of event %s: %w", id, err))
			}
		}
		if cleared == 0 || len(page) < sweepPage {
			if len(failed) == 0 {
				s.observeBacklog(ctx, sweepMarks, time.Time{})
			}
			break
		}
	}
	return errors.Join(failed...)
}

// sweepEvent clears the marks and entries of an event. It reports whether the event has no old
// ones any more.
func (s *Service) sweepEvent(ctx context.Context, id string, before time.Time) (isCleared bool, err error) {
	e, err := s.events.GetEvent(ctx, id)
	switch {
	case errors.Is(err, ErrNoEvent):
		return true, nil
	case err != nil:
		return false, err
	}
	oldest := e.Seats.oldest()
	if oldest.IsZero() || !oldest.Before(before) {
		return true, nil
	}
	s.observeBacklog(ctx, sweepMarks, oldest.Add(s.settleAfter))
	err = s.clearMarks(ctx, e)
	if errors.Is(err, ErrStale) {
		// The event was written meanwhile. The steps are finished; another move or the next
		// sweep removes the marks.
		return false, nil
	}
	return err == nil, err
}

// oldest returns the time of the oldest mark or entry. It is zero if there are none.
func (s Seats) oldest() time.Time {
	var oldest time.Time
	add := func(at time.Time) {
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	for _, mark := range s.Marks {
		add(mark.MovedAt)
	}
	for _, e := range s.Entries {
		add(e.At)
	}
	return oldest
}
