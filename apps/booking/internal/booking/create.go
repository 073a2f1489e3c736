package booking

import (
	"context"
	"errors"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// CreateBooking implements bookingapi.CreateBooking.
func (s *Service) CreateBooking(ctx context.Context, req bookingapi.CreateRequest) (bookingapi.Created, error) {
	if err := s.validateCreate(req); err != nil {
		return bookingapi.Created{}, err
	}
	a := attempt{id: req.BookingID, fingerprint: fingerprint(req), req: req, holdNumber: 1, begun: s.now()}
	if req.IdempotencyKey != "" {
		a.id = KeyedID(req.UserID, req.IdempotencyKey)
	}
	a.pending = s.pending.begin(ctx, &a)
	defer a.pending.end()
	defer s.locks.Lock(ctx, "booking:"+req.EventID+":"+req.UserID)()
	if req.IdempotencyKey != "" {
		// A request with a key may be a retry, so its record may exist.
		current, err := s.findRecord(ctx, a.id)
		switch {
		case err != nil:
			return bookingapi.Created{}, err
		case current == nil:
		case current.State != Refused:
			return a.replay(*current)
		default:
			a.refused, a.holdNumber = current, current.HoldNumber
		}
	}
	return s.create(ctx, &a)
}

// attempt is one execution of CreateBooking.
type attempt struct {
	id          string
	fingerprint string
	req         bookingapi.CreateRequest
	// holdNumber is the only hold number that the attempt may use. It was valid when
	// the attempt started. If another request has invalidated it since, the client may
	// already have received a refusal, so the attempt must not create a booking.
	holdNumber int64
	begun      time.Time
	pending    *pendingCheck // nil without a limit
	// refused is the refused record that the attempt replaces. It is nil if there was
	// no record.
	refused *Booking
}

// create reserves the seats and then inserts the booking.
func (s *Service) create(ctx context.Context, a *attempt) (bookingapi.Created, error) {
	now := s.now()
	b := Booking{
		ID: a.id, HoldNumber: a.holdNumber, State: Pending,
		HoldID: bookingapi.HoldID(a.id, a.holdNumber, a.fingerprint), Fingerprint: a.fingerprint,
		EventID: a.req.EventID, UserID: a.req.UserID, Quantity: a.req.Quantity,
		ExpiresAt: now.Add(s.ttl), CreatedAt: now, UpdatedAt: now, Revision: 1,
	}
	if err := a.pending.check(); err != nil {
		return s.refuse(ctx, a, err)
	}
	reservation, err := s.reserve(ctx, b)
	if err != nil {
		return s.refuse(ctx, a, err)
	}
	if a.isTooOld(s.now()) {
		// The event app's sweep finds the hold without a booking and releases it.
		return bookingapi.Created{}, apperr.TimedOut(nil)
	}
	b.UnitPrice = reservation.UnitPrice
	if a.refused == nil {
		err = s.insert(ctx, b)
	} else {
		b.Revision = a.refused.Revision + 1
		err = s.replace(ctx, *a.refused, b)
	}
	switch {
	case err == nil:
		return bookingapi.Created{Booking: b.Public()}, nil
	case !errors.Is(err, ErrExists) && !errors.Is(err, ErrStale):
		return bookingapi.Created{}, err
	}
	current, err := s.findRecord(ctx, a.id)
	if err != nil {
		return bookingapi.Created{}, err
	}
	if current == nil || current.HoldID != b.HoldID {
		s.releaseUnused(ctx, b)
	}
	return a.answer(current)
}

// refuse ends an attempt that may not or could not reserve seats. It returns a definite
// refusal only after it has invalidated the attempt's hold number, so that neither
// a concurrent duplicate nor an earlier, stalled attempt can create the booking
// afterwards.
func (s *Service) refuse(ctx context.Context, a *attempt, refusal error) (bookingapi.Created, error) {
	if apperr.VerdictOf(refusal) != apperr.Refused {
		return bookingapi.Created{}, refusal
	}
	current, err := s.invalidate(ctx, a.id, a.holdNumber, a.refused, a.retention())
	switch {
	case err != nil:
		return bookingapi.Created{}, err
	case current != nil || errors.Is(refusal, errHoldReleased):
		// That a hold was released does not mean that there are no seats: the client's
		// next request can reserve them under the next hold number.
		return a.answer(current)
	}
	return bookingapi.Created{}, refusal
}

// answer returns the result of an attempt that lost to another write of the record.
// current is the record as it is now, or nil if there is no booking.
func (a *attempt) answer(current *Booking) (bookingapi.Created, error) {
	if current == nil || current.State == Refused {
		return bookingapi.Created{}, superseded()
	}
	return a.replay(*current)
}

// replay returns the existing booking as it was first returned, if it was created
// by the same request. It marks the result as replayed only if the request has a key.
// A duplicate without a key comes from a sidecar that retried the call, and the client
// has not received an answer yet.
func (a *attempt) replay(current Booking) (bookingapi.Created, error) {
	if current.Fingerprint != a.fingerprint {
		return bookingapi.Created{}, ErrIdempotencyMismatch
	}
	return bookingapi.Created{Booking: current.asCreated().Public(), Replayed: a.req.IdempotencyKey != ""}, nil
}
