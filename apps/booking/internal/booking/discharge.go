package booking

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

// discharger moves the holds that bookings owe the event app, for one operation, one sweep
// or one claim of a job. It drops errors, because the obligations stay in the records until
// a later sweep. Once the event app has not answered, it makes no further calls: each of them
// would probably wait for its deadline, and a sweep of many bookings would not finish.
//
// A discharger is safe for concurrent use.
type discharger struct {
	svc       *Service
	isStopped atomic.Bool
}

func (s *Service) newDischarger() *discharger { return &discharger{svc: s} }

// move makes the moves that bookings owe, and returns the ids of the holds for which the
// event app has acknowledged them. Moves of one kind in one event share calls, up to
// eventapi.MaxReserves in each.
func (d *discharger) move(ctx context.Context, bookings ...Booking) (acknowledged map[string]bool) {
	acknowledged = map[string]bool{}
	for _, group := range groupObligations(bookings) {
		for owed := range slices.Chunk(group, eventapi.MaxReserves) {
			if d.isStopped.Load() {
				return acknowledged
			}
			for i, err := range d.svc.moveHolds(ctx, owed) {
				switch {
				case err == nil:
					acknowledged[owed[i].HoldID] = true
				case apperr.Unanswered(err):
					d.isStopped.Store(true)
				}
			}
		}
	}
	return acknowledged
}

// discharge makes the moves that bookings owe, and removes from their records what the event
// app has acknowledged. If a record has changed since it was read, it keeps its obligations
// until a later sweep.
func (d *discharger) discharge(ctx context.Context, bookings ...Booking) error {
	acknowledged := d.move(ctx, bookings...)
	var discharged []Booking
	for _, b := range bookings {
		left := b.Owes.without(func(o Obligation) bool { return acknowledged[o.HoldID] })
		if left == b.Owes {
			continue
		}
		b.Owes = left
		if left == (Obligations{}) {
			b.DischargeAt = time.Time{}
		}
		discharged = append(discharged, b)
	}
	if len(discharged) == 0 {
		return nil
	}
	if err := d.svc.store.StoreObligations(ctx, discharged); err != nil {
		return fmt.Errorf("discharge %d bookings: %w", len(discharged), err)
	}
	return nil
}

// owed is an obligation of a booking.
type owed struct {
	Obligation
	booking Booking
}

// groupObligations returns the obligations of bookings in groups. All obligations in a group
// are of one kind, sales or releases, and concern one event.
func groupObligations(bookings []Booking) [][]owed {
	type key struct {
		eventID string
		isSale  bool
	}
	var groups [][]owed // in the order of their first bookings
	position := map[key]int{}
	for _, b := range bookings {
		for _, o := range b.Owes.List() {
			k := key{b.EventID, o.isSale()}
			if _, known := position[k]; !known {
				position[k] = len(groups)
				groups = append(groups, nil)
			}
			groups[position[k]] = append(groups[position[k]], owed{o, b})
		}
	}
	return groups
}

// moveHolds makes one call for obligations of one kind in one event. It returns the error of
// each.
func (s *Service) moveHolds(ctx context.Context, group []owed) []error {
	if group[0].isSale() {
		reqs := make([]eventapi.SellRequest, len(group))
		for i, o := range group {
			reqs[i] = eventapi.SellRequest{HoldID: o.HoldID, EventID: o.booking.EventID}
		}
		return s.seats.SellSeats(ctx, reqs)
	}
	reqs := make([]eventapi.ReleaseRequest, len(group))
	for i, o := range group {
		reqs[i] = releaseRequest(o.booking, o.HoldID, o.Cause)
	}
	return s.seats.ReleaseSeats(ctx, reqs)
}

// releaseRequest returns a request to release a hold of a booking.
func releaseRequest(b Booking, holdID, cause string) eventapi.ReleaseRequest {
	return eventapi.ReleaseRequest{
		HoldID: holdID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity, Cause: cause,
		WasConfirmed: holdID == b.HoldID && !b.ConfirmedAt.IsZero(),
	}
}

// releaseUnused releases the hold of an attempt that did not become a booking. It drops
// errors: the event app's sweep settles the hold, because no booking is linked to it.
func (s *Service) releaseUnused(ctx context.Context, attempt Booking) {
	s.seats.ReleaseSeats(ctx, []eventapi.ReleaseRequest{releaseRequest(attempt, attempt.HoldID, eventapi.CauseReleased)})
}
