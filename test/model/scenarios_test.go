package model_test

import (
	"context"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// scenario is an event and a few actors that compete for its seats.
type scenario struct {
	name            string
	capacity, limit int64          // of the event; a limit of 0 means no limit
	prepare         func(w *world) // spawns actors that finish before start, or nil
	start           func(w *world) // spawns the actors that compete
	// extraInterruptions is added to -interruptions, because the bug that the scenario
	// looks for needs more interruptions than most.
	extraInterruptions int
}

func scenarios() []scenario {
	book := func(w *world, user, key string, quantity int64) {
		w.create(bookingapi.CreateRequest{UserID: user, IdempotencyKey: key, EventID: eventID, Quantity: quantity})
	}
	advance := func(w *world, by time.Duration) {
		w.spawn("time passes", func(a *actor) {
			if a.yield("advance of the clock") {
				w.now = w.now.Add(by)
			}
		})
	}
	id := bookingtest.KeyedID("u1", "k")
	booked := func(w *world) { book(w, "u1", "k", 1) }
	return []scenario{
		{name: "a cancel and the delivery of its fact in one instance", capacity: 2, prepare: func(w *world) { booked(w); book(w, "u2", "k", 1) }, extraInterruptions: 1, start: func(w *world) {
			w.events[1] = w.events[0]
			w.cancel(id, "u1")
			w.spawn("delivery of the cancellation", func(a *actor) {
				if !a.yield("delivery of the facts") {
					return
				}
				w.relay()
				for _, m := range w.bus {
					if m.kind == bookingapi.FactCancelled {
						_ = w.events[0].OnBookingCancelled(context.Background(), m.booking)
					}
				}
			})
		}},
		{name: "concurrent duplicates compete for the last seat", capacity: 1, start: func(w *world) {
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 1)
			book(w, "u2", "k", 1)
		}},
		{name: "concurrent duplicates under a limit, and the sweep", capacity: 2, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "k", 2)
			advance(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "two bookings of one user under a limit", capacity: 4, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "other", 2)
			w.cancelKeyed("u1", "k")
		}},
		{name: "one key with two different requests, and the sweep", capacity: 3, start: func(w *world) {
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 2)
			advance(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "a create that is refused and retried", capacity: 1, prepare: func(w *world) { book(w, "u2", "first", 1) }, start: func(w *world) {
			book(w, "u1", "k", 1)
			w.cancelKeyed("u2", "first")
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 1)
		}},
		{name: "a confirm competes with expiry and cancel", capacity: 1, prepare: booked, start: func(w *world) {
			advance(w, ttl)
			w.confirm(id, "u1")
			w.sweepBookings()
			w.cancel(id, "u1")
		}},
		{name: "two late confirms and another buyer", capacity: 1, limit: 1, prepare: func(w *world) { booked(w); advance(w, ttl) }, start: func(w *world) {
			w.confirm(id, "u1")
			w.confirm(id, "u1")
			book(w, "u2", "k", 1)
		}},
		{name: "a late confirm whose hold is settled", capacity: 2, prepare: func(w *world) { booked(w); advance(w, ttl); w.sweepBookings() }, start: func(w *world) {
			w.confirm(id, "u1")
			advance(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "the event is cancelled", capacity: 2, start: func(w *world) {
			book(w, "u1", "k", 1)
			w.cancelEvent()
			w.sweepEvents()
		}},
		{name: "the job of a cancelled event, and a cancel", capacity: 2, prepare: func(w *world) {
			booked(w)
			w.cancelEvent()
			w.spawn("delivery of the cancellation", func(*actor) {
				_ = w.booking().OnEventCancelled(context.Background(), eventapi.Fact{Resource: eventapi.Event{ID: eventID}})
			})
		}, start: func(w *world) {
			w.runCancellations()
			w.cancel(id, "u1")
			w.runCancellations()
		}},
		{name: "the event is deleted", capacity: 2, limit: 2, prepare: booked, start: func(w *world) {
			w.cancel(id, "u1")
			w.deleteEvent()
			book(w, "u1", "other", 1)
		}},
		{name: "the limit is lowered", capacity: 4, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "k", 2)
			w.update(eventapi.Changes{MaxPerUser: contract.Set(int64(1))})
		}},
		{name: "the capacity is lowered", capacity: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			w.update(eventapi.Changes{Capacity: contract.Set(int64(1))})
			book(w, "u2", "k", 1)
		}},
	}
}

// cancelKeyed spawns a request to cancel the booking of an idempotency key, which
// may not exist yet.
func (w *world) cancelKeyed(user, key string) { w.cancel(bookingtest.KeyedID(user, key), user) }
