package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// batch is how many bookings are read at a time.
const batch = 200

// expire ends a pending booking whose time is over.
func (s *Service) expire(ctx context.Context, b Booking, holds *releases) (Booking, error) {
	next := b
	next.State, next.UpdatedAt = Expired, s.now()
	next.Revision++
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	holds.release(ctx, next)
	return next, nil
}

// ExpireBookings is the sweep: it ends the bookings that are due. It may run anywhere,
// any number of times and at once. It returns how many it ended; what fails does
// not stop the rest.
func (s *Service) ExpireBookings(ctx context.Context) (int, error) {
	defer s.locks.Lock(ctx, "sweep:bookings")()
	total, holds := 0, s.releases()
	for {
		n, more, err := s.expireDue(ctx, "", holds)
		total += n
		if err != nil || !more || n == 0 {
			return total, err
		}
	}
}

// expireDue ends a batch of due bookings, and says whether there may be more.
func (s *Service) expireDue(ctx context.Context, eventID string, holds *releases) (n int, more bool, err error) {
	due, err := s.finder.DueBookings(ctx, eventID, s.now(), batch)
	if err != nil {
		return 0, false, fmt.Errorf("find due bookings: %w", err)
	}
	var failed []error
	for _, b := range due {
		switch _, err := s.expire(ctx, b, holds); {
		case err == nil:
			n++
		case !errors.Is(err, ErrStale): // stale: confirmed, cancelled or expired meanwhile
			failed = append(failed, err)
		}
	}
	return n, len(due) == batch, errors.Join(failed...)
}

const (
	// searchEvery is how often due bookings of one event are looked for at most
	// when seats are short.
	searchEvery = time.Second
	// maxSearched bounds how many events are remembered for that.
	maxSearched = 4096
)

// expireDueOf ends due bookings of one event, unless that was done a moment ago.
func (s *Service) expireDueOf(ctx context.Context, eventID string) (int, error) {
	if !s.maySearch(eventID) {
		return 0, nil
	}
	n, _, err := s.expireDue(ctx, eventID, s.releases())
	return n, err
}

func (s *Service) maySearch(eventID string) bool {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.searched[eventID]; ok && now.Sub(last) < searchEvery {
		return false
	}
	if len(s.searched) >= maxSearched {
		clear(s.searched)
	}
	s.searched[eventID] = now
	return true
}
