package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// batchSize is the maximum number of bookings that one query for due bookings returns.
const batchSize = 200

// expire expires a pending booking. The caller then releases its seats. It returns
// ErrStale if the record changed since b was read.
func (s *Service) expire(ctx context.Context, b Booking) (Booking, error) {
	next := b
	next.State, next.UpdatedAt = Expired, s.now()
	next.Revision++
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	return next, nil
}

// ExpireBookings is the sweep: it expires all due bookings and returns how many it
// expired. Sweeps may run in any number of processes at once. If a booking cannot be
// expired, the sweep finishes the current batch and then returns the error.
func (s *Service) ExpireBookings(ctx context.Context) (int, error) {
	defer s.locks.Lock(ctx, "sweep:bookings")()
	total, seats := 0, s.newReleaser()
	for {
		n, hasMore, err := s.expireDue(ctx, "", seats)
		total += n
		if err != nil || !hasMore || n == 0 {
			return total, err
		}
	}
}

// expireDue expires one batch of due bookings and then releases their seats. It returns
// how many it expired, and whether more may be due. An empty eventID means all events.
func (s *Service) expireDue(ctx context.Context, eventID string, seats *releaser) (n int, hasMore bool, err error) {
	due, err := s.finder.DueBookings(ctx, eventID, s.now(), batchSize)
	if err != nil {
		return 0, false, fmt.Errorf("find due bookings: %w", err)
	}
	var expired []Booking
	var failed []error
	for _, b := range due {
		switch next, err := s.expire(ctx, b); {
		case err == nil:
			expired = append(expired, next)
		case !errors.Is(err, ErrStale): // a stale booking was confirmed, cancelled or expired meanwhile
			failed = append(failed, err)
		}
	}
	seats.release(ctx, expired...)
	return len(expired), len(due) == batchSize, errors.Join(failed...)
}

const (
	// scanInterval is the minimum time between two scans for due bookings of an event
	// that is sold out.
	scanInterval = time.Second
	// maxTrackedEvents limits the size of Service.lastScan.
	maxTrackedEvents = 4096
)

// expireDueOfEvent expires one batch of an event's due bookings and returns how many
// it expired. It does nothing if the event was scanned within scanInterval.
func (s *Service) expireDueOfEvent(ctx context.Context, eventID string) (int, error) {
	if !s.allowScan(eventID) {
		return 0, nil
	}
	n, _, err := s.expireDue(ctx, eventID, s.newReleaser())
	return n, err
}

// allowScan reports whether the event's due bookings may be scanned now, and if so
// records the scan.
func (s *Service) allowScan(eventID string) bool {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.lastScan[eventID]; ok && now.Sub(last) < scanInterval {
		return false
	}
	if len(s.lastScan) >= maxTrackedEvents {
		clear(s.lastScan)
	}
	s.lastScan[eventID] = now
	return true
}
