package model_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// scenario is a few processes that run against each other.
type scenario struct {
	name            string
	capacity, limit int64
	before          func(w *world) // to its end, before they start
	start           func(w *world)
	more            int // interruptions, because it takes them
}

func scenarios() []scenario {
	book := func(w *world, user, key string, quantity int64) {
		w.request(bookingapi.CreateRequest{UserID: user, IdempotencyKey: key, EventID: eventID, Quantity: quantity})
	}
	lapse := func(w *world, by time.Duration) {
		w.spawn("time passes", func(p *proc) {
			if p.yield("the clock") {
				w.now = w.now.Add(by)
			}
		})
	}
	id := bookingtest.KeyedID("u1", "k")
	booked := func(w *world) { book(w, "u1", "k", 1) }
	return []scenario{
		{name: "a cancel and its fact in one process", capacity: 2, before: func(w *world) { booked(w); book(w, "u2", "k", 1) }, more: 1, start: func(w *world) {
			w.events[1] = w.events[0]
			w.cancel(id, "u1")
			w.spawn("a broker", func(p *proc) {
				if !p.yield("the facts") {
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
		{name: "twins for the last seat", capacity: 1, start: func(w *world) {
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 1)
			book(w, "u2", "k", 1)
		}},
		{name: "twins under a limit, and the sweep", capacity: 2, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "k", 2)
			lapse(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "one user's two bookings under a limit", capacity: 4, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "other", 2)
			w.cancelKnown("u1", "k")
		}},
		{name: "one key, two bodies, and the sweep", capacity: 3, start: func(w *world) {
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 2)
			lapse(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "refused and tried again", capacity: 1, before: func(w *world) { book(w, "u2", "first", 1) }, start: func(w *world) {
			book(w, "u1", "k", 1)
			w.cancelKnown("u2", "first")
			book(w, "u1", "k", 1)
			book(w, "u1", "k", 1)
		}},
		{name: "confirm against expiry and cancel", capacity: 1, before: booked, start: func(w *world) {
			lapse(w, ttl)
			w.confirm(id, "u1")
			w.sweepBookings()
			w.cancel(id, "u1")
		}},
		{name: "two late confirms, and another buyer", capacity: 1, limit: 1, before: func(w *world) { booked(w); lapse(w, ttl) }, start: func(w *world) {
			w.confirm(id, "u1")
			w.confirm(id, "u1")
			book(w, "u2", "k", 1)
		}},
		{name: "a late confirm that is settled", capacity: 2, before: func(w *world) { booked(w); lapse(w, ttl); w.sweepBookings() }, start: func(w *world) {
			w.confirm(id, "u1")
			lapse(w, settleAfter+time.Second)
			w.sweepEvents()
		}},
		{name: "an event that is cancelled", capacity: 2, start: func(w *world) {
			book(w, "u1", "k", 1)
			w.cancelEvent()
			w.sweepEvents()
		}},
		{name: "an event that is deleted", capacity: 2, limit: 2, before: booked, start: func(w *world) {
			w.cancel(id, "u1")
			w.deleteEvent()
			book(w, "u1", "other", 1)
		}},
		{name: "a limit that is lowered", capacity: 4, limit: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			book(w, "u1", "k", 2)
			w.update(eventapi.Changes{MaxPerUser: contract.Set(int64(1))})
		}},
		{name: "a capacity that is lowered", capacity: 2, start: func(w *world) {
			book(w, "u1", "k", 2)
			w.update(eventapi.Changes{Capacity: contract.Set(int64(1))})
			book(w, "u2", "k", 1)
		}},
	}
}

// cancelKnown cancels the booking of a key, if it is there by then.
func (w *world) cancelKnown(user, key string) { w.cancel(bookingtest.KeyedID(user, key), user) }

// choices is a schedule: which of the ways was taken at each point where there
// were several.
type choices struct {
	taken []int
	ways  []int
	at    int
}

// of returns the way to take, of n.
func (c *choices) of(n int) int {
	if c.at == len(c.taken) {
		c.taken, c.ways = append(c.taken, 0), append(c.ways, n)
	}
	c.at++
	return c.taken[c.at-1]
}

// next turns to the next schedule, and returns false after the last.
func (c *choices) next() bool {
	for c.at = 0; len(c.taken) > 0; {
		last := len(c.taken) - 1
		if c.taken[last]++; c.taken[last] < c.ways[last] {
			return true
		}
		c.taken, c.ways = c.taken[:last], c.ways[:last]
	}
	return false
}

// TestEverySchedule tries every order in which the processes of a scenario can
// run, with so many interruptions: a process is taken off for later, or ends. Few
// faults need more than two, which are a hundred thousand schedules; each more
// costs thirty times the time.
func TestEverySchedule(t *testing.T) {
	total := 0
	for _, s := range scenarios() {
		var c choices
		most := *flagInterruptions + s.more
		for {
			total++
			if _, err := s.run(&c, most, false); err != nil {
				c.at = 0
				w, _ := s.run(&c, most, true)
				t.Fatalf("%s: %v\n%s", s.name, err, w.story())
			}
			if !c.next() {
				break
			}
		}
	}
	t.Logf("%d schedules", total)
}

func (s scenario) run(c *choices, left int, tells bool) (*world, error) {
	w := newWorld(1)
	defer w.end()
	w.calm, w.every, w.tells = true, true, tells
	def := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(w.now.Add(100 * 24 * time.Hour)), EndsAt: contract.At(w.now.Add(101 * 24 * time.Hour)),
		Capacity: s.capacity,
	}
	if s.limit > 0 {
		def.MaxPerUser = &s.limit
	}
	if _, err := w.events[0].CreateEvent(context.Background(), eventapi.CreateRequest{EventID: eventID, OrganizerID: "admin", Event: def}); err != nil {
		return w, err
	}
	if s.before != nil {
		s.before(w)
		for len(w.procs) > 0 {
			if err := w.finish(w.procs[0]); err != nil {
				return w, err
			}
		}
	}
	s.start(w)
	var running *proc
	for len(w.procs) > 0 {
		alone := running == nil || !slices.Contains(w.procs, running)
		others := slices.DeleteFunc(slices.Clone(w.procs), func(p *proc) bool { return p == running })
		way := 0
		switch {
		case alone:
			way = c.of(len(others)) // somebody must
			running = others[way]
		case left > 0:
			way = c.of(2 + len(others)) // go on, end, or another
		}
		if !alone && way > 0 {
			left--
			if way == 1 {
				w.crash(running)
				continue
			}
			running = others[way-2]
		}
		w.seen.actor = running
		w.resume(running)
		if err := w.check(); err != nil {
			return w, err
		}
	}
	if err := w.recover(0); err != nil {
		return w, fmt.Errorf("after recovery: %w", err)
	}
	return w, w.recover(ttl)
}
