package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

const (
	settleAfter = time.Minute
	ttl         = 15 * time.Minute

	eventID = "gala"
	// replicas is the number of instances of each app.
	replicas = 2
)

// world is the whole system: the instances of both apps, their stores, the facts
// on the bus, and the scheduler with its actors.
type world struct {
	rng  *rand.Rand
	now  time.Time
	step int
	ids  int // the number of ids that NewID has made

	eventStore   *eventtest.Store
	bookingStore *bookingtest.Store
	events       [replicas]*eventtest.Service
	bookings     [replicas]*bookingtest.Service

	actors     []*actor // those that have not ended
	spawned    int      // the number of actors ever spawned
	current    *actor   // the actor that runs, or nil
	faultless  bool     // the network and the relay inject no faults
	exhaustive bool     // every delayable reply is delayed
	bus        []*message
	loss       loss
	workload   workload
	keepsTrace bool
	trace      []string

	seen history
}

// loss is how many of the facts about bookings the bus loses for good.
type loss int

const (
	loseNone loss = iota
	loseSome      // one in four, until the recovery
	loseAll       // all of them, even during the recovery
)

// loses reports whether the bus loses the next fact.
func (w *world) loses(kind string) bool {
	switch w.loss {
	case loseAll:
		return kind != eventapi.FactCancelled
	case loseSome:
		return !w.faultless && w.oneIn(4)
	case loseNone:
	}
	return false
}

// message is a fact on the bus.
type message struct {
	kind    string
	event   eventapi.Fact
	booking bookingapi.Fact
	// acknowledged reports whether a subscriber has processed the fact. Until then, the
	// broker redelivers it.
	acknowledged bool
}

func newWorld(seed uint64) *world {
	w := &world{
		rng:          rand.New(rand.NewPCG(seed, 0)),
		now:          time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC),
		eventStore:   eventtest.NewStore(),
		bookingStore: bookingtest.NewStore(),
	}
	for i := range replicas {
		w.startEventApp(i)
		w.startBookingApp(i)
	}
	all := workloads()
	w.workload = all[w.rng.IntN(len(all))]
	w.loss = []loss{loseNone, loseSome, loseSome, loseAll}[w.rng.IntN(4)]
	w.seen.init()
	return w
}

// startEventApp starts instance i of the event app, or replaces it with a new one that
// remembers nothing.
func (w *world) startEventApp(i int) {
	w.events[i] = eventtest.NewService(eventtest.Env{
		Store: delayedReads{w.eventStore.WithGate(w.gate), w}, Bookings: bookingClient{w}, Clock: w, IDs: w, HoldSettleAfter: settleAfter,
	})
}

// startBookingApp starts instance i of the booking app, or replaces it with a new one
// that remembers nothing.
func (w *world) startBookingApp(i int) {
	w.bookings[i] = bookingtest.NewService(bookingtest.Env{
		Store: w.bookingStore.WithGate(w.gate), Seats: eventClient{w}, Events: eventClient{w}, Clock: w, IDs: w,
		TTL: ttl, MaxPerBooking: 10,
	})
}

// delayedReads is a store that may delay its replies to reads of events and holds.
// Another actor of the same instance may run during the delay, so the instance may
// already remember something newer when the reply arrives.
type delayedReads struct {
	*eventtest.Store
	w *world
}

func (d delayedReads) GetEvent(ctx context.Context, id string) (eventtest.Event, error) {
	e, err := d.Store.GetEvent(ctx, id)
	return e, d.w.delayReply("events.read", err)
}

func (d delayedReads) GetHolds(ctx context.Context, ids []string) (map[string]eventtest.Hold, error) {
	holds, err := d.Store.GetHolds(ctx, ids)
	return holds, d.w.delayReply("holds.read", err)
}

// Now returns the time of the clock that all instances share.
func (w *world) Now() time.Time { return w.now }

// NewID returns the next id. Each replay of a schedule makes the same ids.
func (w *world) NewID() string {
	w.ids++
	return fmt.Sprintf("id-%d", w.ids)
}

// event returns a random instance of the event app.
func (w *world) event() *eventtest.Service { return w.events[w.rng.IntN(replicas)] }

// booking returns a random instance of the booking app.
func (w *world) booking() *bookingtest.Service { return w.bookings[w.rng.IntN(replicas)] }

// oneIn returns true with probability 1/n.
func (w *world) oneIn(n int) bool { return w.rng.IntN(n) == 0 }

// logf adds a line to the trace of the schedule if the world keeps one.
func (w *world) logf(format string, args ...any) {
	if !w.keepsTrace {
		return
	}
	w.trace = append(w.trace, fmt.Sprintf("%4d %s", w.step, fmt.Sprintf(format, args...)))
}

// traceText returns the trace of the schedule so far.
func (w *world) traceText() string { return strings.Join(w.trace, "\n") }
