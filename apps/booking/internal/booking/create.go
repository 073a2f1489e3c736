package booking

import (
	"context"
	"errors"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// CreateBooking books seats; see bookingapi.CreateBooking.
func (s *Service) CreateBooking(ctx context.Context, req bookingapi.CreateRequest) (bookingapi.Created, error) {
	if err := s.validCreate(req); err != nil {
		return bookingapi.Created{}, err
	}
	defer s.locks.Lock(ctx, "booking:"+req.EventID+":"+req.UserID)()
	t := try{id: req.BookingID, fingerprint: fingerprint(req), req: req, n: 1}
	if req.IdempotencyKey != "" {
		// Who sends a key may have asked before.
		t.id = KeyedID(req.UserID, req.IdempotencyKey)
		there, err := s.look(ctx, t.id)
		switch {
		case err != nil:
			return bookingapi.Created{}, err
		case there == nil:
		case there.State != Refused:
			return t.replay(*there)
		default:
			t.record, t.n = there, there.HoldNumber
		}
	}
	return s.create(ctx, &t)
}

// try is one request for a booking on its way.
type try struct {
	id          string
	fingerprint string
	req         bookingapi.CreateRequest
	// n is the number that it may use. It is the one that it began with: once
	// another raised the record, the client may have been told that there will be
	// no booking.
	n int64
	// record is the refused record that says so; nil when there was none.
	record *Booking
}

// create reserves, and then makes the booking.
func (s *Service) create(ctx context.Context, t *try) (bookingapi.Created, error) {
	now := s.now()
	b := Booking{
		ID: t.id, HoldNumber: t.n, State: Pending, HoldID: holdID(t.id, t.n, t.fingerprint), Fingerprint: t.fingerprint,
		EventID: t.req.EventID, UserID: t.req.UserID, Quantity: t.req.Quantity,
		ExpiresAt: now.Add(s.ttl), CreatedAt: now, UpdatedAt: now, Revision: 1,
	}
	taken, err := s.reserve(ctx, b)
	if err != nil {
		return s.refuse(ctx, t, err)
	}
	b.UnitPrice = taken.UnitPrice
	if t.record == nil {
		err = s.insert(ctx, b)
	} else {
		b.Revision = t.record.Revision + 1
		err = s.replace(ctx, *t.record, b)
	}
	switch {
	case err == nil:
		return bookingapi.Created{Booking: b.Public()}, nil
	case !errors.Is(err, ErrExists) && !errors.Is(err, ErrStale):
		return bookingapi.Created{}, err
	}
	there, err := s.look(ctx, t.id)
	if err != nil {
		return bookingapi.Created{}, err
	}
	if there == nil || there.HoldID != b.HoldID {
		s.releases().release(ctx, b)
	}
	return t.answer(there)
}

// refuse ends a create that got no seats. What is definite is said only after
// this and all earlier tries were made dead.
func (s *Service) refuse(ctx context.Context, t *try, refusal error) (bookingapi.Created, error) {
	if apperr.VerdictOf(refusal) != apperr.Refused {
		return bookingapi.Created{}, refusal
	}
	there, err := s.kill(ctx, t.id, t.n, t.record)
	switch {
	case err != nil:
		return bookingapi.Created{}, err
	case there != nil || errors.Is(refusal, errHoldDead):
		// A dead hold says nothing about seats: the next try begins with another.
		return t.answer(there)
	}
	return bookingapi.Created{}, refusal
}

// answer ends a try that another record stands in the way of; nil is one that was
// purged.
func (t *try) answer(there *Booking) (bookingapi.Created, error) {
	if there == nil || there.State == Refused {
		return bookingapi.Created{}, overtaken()
	}
	return t.replay(*there)
}

// replay answers with the booking that is there, as it was first answered. Only
// a client with a key can have asked before; without one it was a sidecar.
func (t *try) replay(there Booking) (bookingapi.Created, error) {
	if there.Fingerprint != t.fingerprint {
		return bookingapi.Created{}, ErrMismatch
	}
	return bookingapi.Created{Booking: there.first().Public(), Replayed: t.req.IdempotencyKey != ""}, nil
}
