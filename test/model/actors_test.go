package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// createRandom spawns a client's request for a booking. There are two users, and most
// requests have one of two idempotency keys, so requests collide often.
func (w *world) createRandom() {
	req := bookingapi.CreateRequest{
		UserID: fmt.Sprintf("user%d", w.rng.IntN(2)), EventID: eventID, Quantity: int64(1 + w.rng.IntN(2)),
	}
	if w.oneIn(5) {
		req.BookingID = w.NewID()
	} else {
		req.IdempotencyKey = fmt.Sprintf("key%d", w.rng.IntN(2))
	}
	w.create(req)
}

// create spawns a request for a booking, and records its reply.
func (w *world) create(req bookingapi.CreateRequest) {
	id := req.BookingID
	if req.IdempotencyKey != "" {
		id = bookingtest.KeyedID(req.UserID, req.IdempotencyKey)
	}
	svc := w.booking()
	w.spawn(fmt.Sprintf("create %s of %d seats by %s", id, req.Quantity, req.UserID), func(a *actor) {
		created, err := svc.CreateBooking(context.Background(), req)
		if a.crashed {
			return
		}
		w.logf("a%d replies to create %s: %v %v", a.id, id, created.Booking.Status, err)
		switch {
		case err == nil:
			w.seen.recordReply(id, created.Booking)
		case isDefinite(err) && !errors.Is(err, errMismatch):
			w.seen.refused[id] = max(w.seen.refused[id], a.started)
		}
	})
}

var (
	errMismatch = apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch, "")
	errExpired  = apperr.New(apperr.Conflict, bookingapi.ReasonExpired, "")
)

// isDefinite reports whether err tells the client that nothing was done.
func isDefinite(err error) bool { return apperr.VerdictOf(err) != apperr.Unknown }

// confirm spawns a request to confirm a booking.
func (w *world) confirm(id, userID string) {
	svc := w.booking()
	w.spawn("confirm "+id, func(a *actor) {
		b, err := svc.ConfirmBooking(context.Background(), bookingapi.ConfirmRequest{BookingID: id, UserID: userID})
		if a.crashed {
			return
		}
		w.logf("a%d replies to confirm %s: %v %v", a.id, id, b.Status, err)
		if errors.Is(err, errExpired) {
			w.seen.expired[id] = max(w.seen.expired[id], a.started)
		}
	})
}

// cancel spawns a request to cancel a booking.
func (w *world) cancel(id, userID string) {
	svc := w.booking()
	w.spawn("cancel "+id, func(*actor) {
		_, _ = svc.CancelBooking(context.Background(), bookingapi.CancelRequest{BookingID: id, UserID: userID})
	})
}

// sweepEvents spawns a sweep of the event app.
func (w *world) sweepEvents() *actor {
	svc := w.event()
	return w.spawn("sweep of events", func(*actor) { _ = svc.Sweep(context.Background()) })
}

// sweepBookings spawns a sweep of the booking app.
func (w *world) sweepBookings() *actor {
	svc := w.booking()
	return w.spawn("sweep of bookings", func(*actor) { _, _ = svc.Sweep(context.Background()) })
}

// runCancellations spawns the work on the jobs that cancel the bookings of cancelled
// events.
func (w *world) runCancellations() *actor {
	svc := w.booking()
	return w.spawn("jobs of cancelled events", func(*actor) { _ = svc.ContinueCancellations(context.Background()) })
}

// update spawns an admin's request to change the event.
func (w *world) update(c eventapi.Changes) {
	svc := w.event()
	w.spawn(fmt.Sprintf("update capacity %v limit %v", c.Capacity, c.MaxPerUser), func(*actor) {
		_, _ = svc.UpdateEvent(context.Background(), eventapi.UpdateRequest{EventID: eventID, ChangeID: w.NewID(), Changes: c})
	})
}

// cancelEvent spawns an admin's request to cancel the event.
func (w *world) cancelEvent() {
	svc := w.event()
	w.spawn("cancel the event", func(*actor) {
		_, _ = svc.CancelEvent(context.Background(), eventapi.ChangeRequest{EventID: eventID, ChangeID: w.NewID()})
	})
}

// deleteEvent spawns an admin's request to delete the event.
func (w *world) deleteEvent() {
	svc := w.event()
	w.spawn("delete the event", func(*actor) {
		_, _ = svc.DeleteEvent(context.Background(), eventapi.ChangeRequest{EventID: eventID, ChangeID: w.NewID()})
	})
}

// relay publishes the unsent facts of all outboxes. Unless the world is faultless, it
// leaves some of them unmarked, as a process that crashes after publishing would. The bus may
// lose some of them.
func (w *world) relay() {
	send := func(m *message) {
		if w.loses(m.kind) {
			w.logf("the bus loses %s of %s%s", m.kind, m.booking.Resource.ID, m.event.Resource.ID)
			return
		}
		w.bus = append(w.bus, m)
	}
	for _, f := range w.bookingStore.Unsent() {
		send(&message{kind: f.Type, booking: decode[bookingapi.Fact](f.Data)})
		if w.faultless || !w.oneIn(8) {
			w.bookingStore.MarkSent(f.Subject, f.ID)
		}
	}
	for _, f := range w.eventStore.Unsent() {
		send(&message{kind: f.Type, event: decode[eventapi.Fact](f.Data)})
		if w.faultless || !w.oneIn(8) {
			w.eventStore.MarkSent(f.Subject, f.ID)
		}
	}
}

// deliver spawns the delivery of m to its subscriber. It returns nil if no app
// subscribes to m.
func (w *world) deliver(m *message) *actor {
	handle := w.subscriber(m)
	if handle == nil {
		return nil
	}
	return w.spawn("fact "+m.kind+" of "+m.booking.Resource.HoldID, func(a *actor) {
		if err := handle(context.Background()); err == nil && !a.crashed {
			m.acknowledged = true
		}
	})
}

// subscriber returns the handler of a fact in the app that subscribes to it, or
// nil if there is none.
func (w *world) subscriber(m *message) func(context.Context) error {
	event, booking := w.event(), w.booking()
	switch m.kind {
	case eventapi.FactCancelled:
		return func(ctx context.Context) error { return booking.OnEventCancelled(ctx, m.event) }
	case bookingapi.FactCreated:
		return func(ctx context.Context) error { return event.OnBookingCreated(ctx, m.booking) }
	case bookingapi.FactConfirmed:
		return func(ctx context.Context) error { return event.OnBookingConfirmed(ctx, m.booking) }
	case bookingapi.FactCancelled:
		return func(ctx context.Context) error { return event.OnBookingCancelled(ctx, m.booking) }
	case bookingapi.FactExpired:
		return func(ctx context.Context) error { return event.OnBookingExpired(ctx, m.booking) }
	}
	return nil
}

// decode decodes JSON into a T. It panics if that fails.
func decode[T any](data []byte) T {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		panic(err)
	}
	return v
}
