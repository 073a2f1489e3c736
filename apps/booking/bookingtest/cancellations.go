package bookingtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"boxoffice/apps/booking/internal/booking"
)

var _ booking.Cancellations = (*Store)(nil)

// InsertCancellation implements booking.Cancellations.
func (s *Store) InsertCancellation(ctx context.Context, c booking.Cancellation) error {
	return s.do(ctx, "cancellations.insert", func() error {
		if _, taken := s.cancellations[c.EventID]; taken {
			return booking.ErrExists
		}
		s.cancellations[c.EventID] = c
		*s.writes++
		return nil
	})
}

// GetCancellation implements booking.Cancellations.
func (s *Store) GetCancellation(ctx context.Context, eventID string) (booking.Cancellation, error) {
	var c booking.Cancellation
	err := s.do(ctx, "cancellations.read", func() error {
		var ok bool
		if c, ok = s.cancellations[eventID]; !ok {
			return booking.ErrNoCancellation
		}
		return nil
	})
	return c, err
}

// ReplaceCancellation implements booking.Cancellations.
func (s *Store) ReplaceCancellation(ctx context.Context, c booking.Cancellation) error {
	return s.do(ctx, "cancellations.replace", func() error {
		if stored, ok := s.cancellations[c.EventID]; !ok || stored.Version != c.Version {
			return booking.ErrStale
		}
		c.Version++
		s.cancellations[c.EventID] = c
		*s.writes++
		return nil
	})
}

// DueCancellations implements booking.Cancellations.
func (s *Store) DueCancellations(ctx context.Context, now time.Time, limit int) ([]booking.Cancellation, error) {
	var due []booking.Cancellation
	err := s.do(ctx, "cancellations.due", func() error {
		for _, c := range s.cancellations {
			if !c.Due.IsZero() && !c.Due.After(now) {
				due = append(due, c)
			}
		}
		return nil
	})
	slices.SortFunc(due, func(a, b booking.Cancellation) int {
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.EventID, b.EventID))
	})
	return due[:min(len(due), limit)], err
}

// Cancellations returns all jobs by event id.
func (s *Store) Cancellations() map[string]booking.Cancellation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.cancellations)
}

// CancellationConfig returns the configuration of jobs over a store that cancel one
// booking after the other, in the goroutine of the caller. Publishing is left to the test,
// and nothing waits.
func CancellationConfig(s *Store) booking.CancellationConfig {
	return booking.CancellationConfig{
		Jobs: s, Unpublished: s, Publisher: unpublished{}, Pacer: unpaced{}, Parallel: 1,
		Trace: func(ctx context.Context, _ string) (context.Context, func()) { return ctx, func() {} },
	}
}

// unpublished is a booking.Publisher that leaves the facts in their outboxes.
type unpublished struct{}

func (unpublished) PublishFacts(context.Context, []string) error { return nil }

// unpaced is a booking.Pacer that never waits.
type unpaced struct{}

func (unpaced) Wait(ctx context.Context, _ int) error { return ctx.Err() }
