package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// expire expires a pending booking. The caller then releases its seats. It returns
// ErrStale if the record changed since b was read.
func (s *Service) expire(ctx context.Context, b Booking) (Booking, error) {
	next := b.moveTo(Expired, s.now())
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	return next, nil
}

// expireAll expires pending bookings in one write, and returns those that it expired. A
// booking that was confirmed, cancelled or expired meanwhile is no error.
func (s *Service) expireAll(ctx context.Context, store Store, due []Booking) ([]Booking, error) {
	changes := make([]Change, len(due))
	for i, b := range due {
		next := b.moveTo(Expired, s.now())
		facts, err := s.newFacts(b.State, next)
		if err != nil {
			return nil, err
		}
		changes[i] = Change{Booking: next, State: b.State, HoldNumber: b.HoldNumber, Facts: facts}
	}
	var expired []Booking
	var failed []error
	for i, err := range store.ReplaceBookings(ctx, changes) {
		switch {
		case err == nil:
			expired = append(expired, changes[i].Booking)
		case !errors.Is(err, ErrStale):
			failed = append(failed, fmt.Errorf("expire booking %s: %w", due[i].ID, err))
		}
	}
	return expired, errors.Join(failed[:min(len(failed), maxReported)]...)
}

const (
	// scanInterval is the minimum time between two scans for due bookings of an event
	// that is sold out.
	scanInterval = time.Second
	// maxTrackedEvents limits the size of Service.lastScan.
	maxTrackedEvents = 4096
)

// expireDueOfEvent expires one page of an event's due bookings, releases their seats, and
// returns how many it expired. It does nothing if the event was scanned within scanInterval.
func (s *Service) expireDueOfEvent(ctx context.Context, eventID string) (int, error) {
	if !s.allowScan(eventID) {
		return 0, nil
	}
	due, err := s.finder.DueBookings(ctx, eventID, s.now(), sweepPage)
	if err != nil {
		return 0, fmt.Errorf("find due bookings of event %s: %w", eventID, err)
	}
	if len(due) == 0 {
		return 0, nil
	}
	expired, err := s.expireAll(ctx, s.store, due)
	return len(expired), errors.Join(err, s.newDischarger().discharge(ctx, expired...))
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
