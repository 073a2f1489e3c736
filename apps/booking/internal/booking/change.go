package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// batch is how many bookings are read at a time.
const batch = 200

// again runs fn on a booking until it is not overtaken by another change.
func (s *Service) again(ctx context.Context, b Booking, fn func(b Booking) (Booking, error)) (Booking, error) {
	for range maxRounds {
		next, err := fn(b)
		if !errors.Is(err, ErrStale) {
			return next, err
		}
		there, err := s.look(ctx, b.ID)
		switch {
		case err != nil:
			return Booking{}, err
		case there == nil || there.State == Refused:
			return Booking{}, ErrNotFound
		}
		b = *there
	}
	return Booking{}, overtaken()
}

// Confirm makes a booking final; see bookingapi.ConfirmBooking.
func (s *Service) Confirm(ctx context.Context, req bookingapi.ConfirmRequest) (bookingapi.Booking, error) {
	if err := validConfirm(req); err != nil {
		return bookingapi.Booking{}, err
	}
	b, err := s.visible(ctx, bookingapi.GetRequest{BookingID: req.BookingID, UserID: req.UserID, ByAdmin: req.ByAdmin})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	n := b.N
	b, err = s.again(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Expired && b.N != n {
			// Another confirm was refused meanwhile, for good.
			return b, overtaken()
		}
		return s.confirm(ctx, b, req.PaymentReference)
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

func (s *Service) confirm(ctx context.Context, b Booking, reference *string) (Booking, error) {
	now := s.now()
	if b.State == Pending && b.due(now) {
		expired, err := s.expire(ctx, b, s.releases())
		if err != nil {
			return b, err
		}
		b = expired
	}
	next := b
	next.State, next.ConfirmedAt, next.UpdatedAt = Confirmed, now, now
	next.Revision++
	if reference != nil {
		next.PaymentReference = *reference
	}
	switch b.State {
	case Confirmed:
		return b, nil
	case Pending:
		return next, s.replace(ctx, b, next)
	case Expired:
		return s.confirmLate(ctx, b, next)
	case Cancelled:
		return b, ErrNotPending
	case Refused:
	}
	return b, ErrNotFound
}

// confirmLate takes new seats for a booking that has expired. Like a create it
// uses one number only, and refuses for good only after that was made dead.
func (s *Service) confirmLate(ctx context.Context, was, next Booking) (Booking, error) {
	next.N = was.N + 1
	next.HoldID = holdID(was.ID, next.N, was.Fingerprint)
	wanted := next
	wanted.ExpiresAt = next.UpdatedAt.Add(s.ttl)
	// What a ticket costs now does not matter: the price was agreed on.
	if _, err := s.reserve(ctx, wanted); err != nil {
		if apperr.VerdictOf(err) != apperr.Refused {
			return was, err
		}
		there, failed := s.kill(ctx, was.ID, next.N, &was)
		switch {
		case failed != nil:
			return was, failed
		case there == nil:
			return was, ErrNotFound
		case there.State != Expired:
			return was, ErrStale // a twin got on: look again
		case errors.Is(err, errHoldDead):
			return was, overtaken()
		}
		return was, ErrExpired.WithCause(err)
	}
	err := s.replace(ctx, was, next)
	if !errors.Is(err, ErrStale) {
		return next, err
	}
	there, failed := s.look(ctx, was.ID)
	if failed != nil {
		return was, failed
	}
	if there == nil || there.HoldID != next.HoldID {
		s.releases().release(ctx, next)
	}
	if there != nil && there.State == Expired {
		return was, overtaken()
	}
	return was, err
}

// Cancel ends a booking; see bookingapi.CancelBooking.
func (s *Service) Cancel(ctx context.Context, req bookingapi.CancelRequest) (bookingapi.Booking, error) {
	b, err := s.visible(ctx, req)
	if err != nil {
		return bookingapi.Booking{}, err
	}
	reason := ByUser
	if b.UserID != req.UserID {
		reason = ByAdmin
	}
	b, err = s.again(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Confirmed {
			if err := s.withinCutoff(ctx, b); err != nil {
				return b, err
			}
		}
		return s.cancel(ctx, b, reason, s.releases())
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// withinCutoff refuses to cancel what is confirmed too shortly before the event.
func (s *Service) withinCutoff(ctx context.Context, b Booking) error {
	e, err := s.events.Event(ctx, b.EventID)
	switch {
	case err != nil:
		return fmt.Errorf("cancel booking %s: %w", b.ID, err)
	case e.Status == eventapi.StatusCancelled:
		return nil // that cancels it anyway
	}
	if last := e.StartsAt.Add(-time.Duration(e.CancellationCutoffHours) * time.Hour); !s.now().Before(last) {
		return ErrCutoffPassed
	}
	return nil
}

func (s *Service) cancel(ctx context.Context, b Booking, reason Reason, holds *releases) (Booking, error) {
	switch b.State {
	case Cancelled:
		return b, nil
	case Expired:
		return b, ErrExpired
	case Refused:
		return b, ErrNotFound
	case Pending, Confirmed:
	}
	next := b
	next.State, next.CancelledAt, next.CancelReason = Cancelled, s.now(), reason
	next.UpdatedAt = next.CancelledAt
	next.Revision++
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	holds.release(ctx, next)
	return next, nil
}

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

// Expire is the sweep: it ends the bookings that are due. It may run anywhere,
// any number of times and at once. It returns how many it ended; what fails does
// not stop the rest.
func (s *Service) Expire(ctx context.Context) (int, error) {
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

// OnEventCancelled cancels the live bookings of the event.
func (s *Service) OnEventCancelled(ctx context.Context, fact eventapi.Fact) error {
	var failed []error
	holds, after := s.releases(), ""
	for {
		live, err := s.finder.LiveBookings(ctx, fact.Resource.ID, after, batch)
		if err != nil {
			return fmt.Errorf("find bookings of event %s: %w", fact.Resource.ID, err)
		}
		for _, b := range live {
			after = b.ID
			_, err := s.again(ctx, b, func(b Booking) (Booking, error) { return s.cancel(ctx, b, ByEventCancelled, holds) })
			if err != nil && !errors.Is(err, ErrExpired) {
				failed = append(failed, err)
			}
		}
		if len(live) < batch {
			return errors.Join(failed...)
		}
	}
}
