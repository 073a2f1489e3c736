package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// seats is how the booking app asks the event app: over a network that delays
// calls, repeats them and loses their answers.
type seats struct{ w *world }

// settler is the other way round.
type settler struct{ w *world }

func (s seats) ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	return call(s.w, "reserve "+req.HoldID, func() (eventapi.Reservation, error) { return eventtest.Reserve(ctx, s.w.event(), req) })
}

func (s seats) ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) error {
	_, err := call(s.w, "release "+req.HoldID, func() (rpc.Nothing, error) { return s.w.event().ReleaseSeats(ctx, req) })
	return err
}

func (s seats) GetEvent(ctx context.Context, id string) (eventapi.Event, error) {
	v, err := s.w.event().GetEvent(ctx, eventapi.GetRequest{EventID: id, ByAdmin: true})
	return v.Event, err
}

func (s settler) SettleHold(ctx context.Context, holdID string) (bookingapi.Settlement, error) {
	return call(s.w, "settle "+holdID, func() (bookingapi.Settlement, error) {
		return s.w.booking().SettleHold(ctx, bookingapi.SettleRequest{HoldID: holdID})
	})
}

func call[Res any](w *world, name string, fn func() (Res, error)) (Res, error) {
	var none Res
	if w.current.crashed {
		return none, errCrashed
	}
	later := func() { w.spawn("(late) "+name, func(*proc) { _, _ = fn() }) }
	if !w.calm {
		switch {
		case w.chance(12): // the caller gives up, the callee goes on
			later()
			return none, apperr.TimedOut(errNoReply)
		case w.chance(12): // the sidecar tries twice
			later()
		}
	}
	res, err := fn()
	if !w.calm && w.chance(25) {
		return none, apperr.TimedOut(errNoReply)
	}
	// As it crosses the wire: a refusal keeps its code and reason, the rest is lost.
	if err != nil {
		wire := apperr.From(err)
		err = apperr.New(wire.Code, wire.Reason, wire.Message)
	}
	return res, err
}

// create starts a client's request.
func (w *world) create() {
	req := bookingapi.CreateRequest{
		UserID: fmt.Sprintf("user%d", w.rng.IntN(2)), EventID: eventID, Quantity: int64(1 + w.rng.IntN(2)),
	}
	if w.chance(5) {
		req.BookingID = w.NewID()
	} else {
		req.IdempotencyKey = fmt.Sprintf("key%d", w.rng.IntN(2))
	}
	w.request(req)
}

func (w *world) request(req bookingapi.CreateRequest) {
	id := req.BookingID
	if req.IdempotencyKey != "" {
		id = bookingtest.KeyedID(req.UserID, req.IdempotencyKey)
	}
	svc := w.booking()
	w.spawn(fmt.Sprintf("create %s by %s, %d", id, req.UserID, req.Quantity), func(p *proc) {
		created, err := svc.CreateBooking(context.Background(), req)
		if p.crashed {
			return
		}
		w.logf("p%d answers create %s: %v %v", p.id, id, created.Booking.Status, err)
		switch {
		case err == nil:
			w.seen.answered(id, created.Booking)
		case definite(err) && !errors.Is(err, mismatch):
			w.seen.refused[id] = max(w.seen.refused[id], p.started)
		}
	})
}

var (
	mismatch = apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch, "")
	expired  = apperr.New(apperr.Conflict, bookingapi.ReasonExpired, "")
)

func definite(err error) bool {
	e, ok := errors.AsType[*apperr.Error](err)
	return ok && !e.Failure()
}

func (w *world) confirm(id, userID string) {
	svc := w.booking()
	w.spawn("confirm "+id, func(p *proc) {
		b, err := svc.ConfirmBooking(context.Background(), bookingapi.ConfirmRequest{BookingID: id, UserID: userID})
		if p.crashed {
			return
		}
		w.logf("p%d answers confirm %s: %v %v", p.id, id, b.Status, err)
		if errors.Is(err, expired) {
			w.seen.expired[id] = max(w.seen.expired[id], p.started)
		}
	})
}

func (w *world) cancel(id, userID string) {
	svc := w.booking()
	w.spawn("cancel "+id, func(*proc) {
		_, _ = svc.CancelBooking(context.Background(), bookingapi.CancelRequest{BookingID: id, UserID: userID})
	})
}

func (w *world) sweepEvents() *proc {
	svc := w.event()
	return w.spawn("sweep of events", func(*proc) { _ = svc.Sweep(context.Background()) })
}

func (w *world) sweepBookings() *proc {
	svc := w.booking()
	return w.spawn("sweep of bookings", func(*proc) { _, _ = svc.ExpireBookings(context.Background()) })
}

func (w *world) update(c eventapi.Changes) {
	svc := w.event()
	w.spawn(fmt.Sprintf("update capacity %v limit %v", c.Capacity, c.MaxPerUser), func(*proc) {
		_, _ = svc.UpdateEvent(context.Background(), eventapi.UpdateRequest{EventID: eventID, Changes: c})
	})
}

func (w *world) cancelEvent() {
	svc := w.event()
	w.spawn("cancel the event", func(*proc) {
		_, _ = svc.CancelEvent(context.Background(), eventapi.GetRequest{EventID: eventID})
	})
}

func (w *world) deleteEvent() {
	svc := w.event()
	w.spawn("delete the event", func(*proc) {
		_, _ = svc.DeleteEvent(context.Background(), eventapi.GetRequest{EventID: eventID})
	})
}

// relay publishes what is in the outboxes. It may die before it says so.
func (w *world) relay() {
	for _, f := range w.bookingStore.Unsent() {
		w.bus = append(w.bus, &message{kind: f.Type, booking: decode[bookingapi.Fact](f.Data)})
		if w.calm || !w.chance(8) {
			w.bookingStore.MarkSent(f.Subject, f.ID)
		}
	}
	for _, f := range w.eventStore.Unsent() {
		w.bus = append(w.bus, &message{kind: f.Type, event: decode[eventapi.Fact](f.Data)})
		if w.calm || !w.chance(8) {
			w.eventStore.MarkSent(f.Subject, f.ID)
		}
	}
}

// deliver brings a fact to the app that listens, or returns nil when none does.
func (w *world) deliver(m *message) *proc {
	on := w.listener(m)
	if on == nil {
		return nil
	}
	return w.spawn("fact "+m.kind+" of "+m.booking.Resource.HoldID, func(p *proc) {
		if err := on(context.Background()); err == nil && !p.crashed {
			m.acknowledged = true
		}
	})
}

func (w *world) listener(m *message) func(context.Context) error {
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

func decode[T any](data []byte) T {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		panic(err)
	}
	return v
}

// mood is what a schedule is full of: how often each thing begins, out of the sum.
type mood struct {
	create, confirm, cancel, fact, sweep, expire, capacity, limit, end, remove int
}

func moods() []mood {
	return []mood{
		{45, 9, 8, 12, 8, 5, 5, 5, 2, 1},
		{30, 3, 20, 12, 8, 5, 2, 6, 1, 13},  // deletions
		{30, 20, 5, 15, 10, 12, 3, 3, 1, 1}, // lapses and late confirms
		{50, 2, 12, 5, 12, 3, 4, 12, 0, 0},  // limits
		{60, 4, 6, 6, 14, 2, 8, 0, 0, 0},    // keys
	}
}

// begin starts something at random.
func (w *world) begin() {
	known := func(do func(id, userID string)) func() {
		return func() {
			if ids := w.seen.known; len(ids) > 0 {
				id := ids[w.rng.IntN(len(ids))]
				do(id, w.seen.owner[id])
				return
			}
			w.create()
		}
	}
	m := w.mood
	things := []struct {
		weight int
		do     func()
	}{
		{m.create, w.create},
		{m.confirm, known(w.confirm)},
		{m.cancel, known(w.cancel)},
		{m.fact, func() {
			w.relay()
			if len(w.bus) > 0 {
				w.deliver(w.bus[w.rng.IntN(len(w.bus))])
			}
		}},
		{m.sweep, func() { w.sweepEvents() }},
		{m.expire, func() { w.sweepBookings() }},
		{m.capacity, func() { w.update(eventapi.Changes{Capacity: contract.Set(int64(1 + w.rng.IntN(4)))}) }},
		{m.limit, func() {
			limit := contract.Clear[int64]()
			if !w.chance(4) {
				limit = contract.Set(int64(1 + w.rng.IntN(3)))
			}
			w.update(eventapi.Changes{MaxPerUser: limit})
		}},
		{m.end, w.cancelEvent},
		{m.remove, w.deleteEvent},
	}
	sum := 0
	for _, t := range things {
		sum += t.weight
	}
	n := w.rng.IntN(sum)
	for _, t := range things {
		if n -= t.weight; n < 0 {
			t.do()
			return
		}
	}
}
