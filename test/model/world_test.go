package model_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
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
	// replicas is how many instances of each app there are.
	replicas = 2
)

var (
	errCrashed = errors.New("the process is no more")
	errNoReply = errors.New("the reply was lost")
)

// world is two apps, their stores, what is on its way between them, and the
// scheduler.
type world struct {
	rng  *rand.Rand
	now  time.Time
	step int
	ids  int

	eventStore   *eventtest.Store
	bookingStore *bookingtest.Store
	events       [replicas]*eventtest.Service
	bookings     [replicas]*bookingtest.Service

	procs   []*proc
	current *proc // who runs
	calm    bool  // no faults: recovery
	every   bool  // every schedule is tried
	bus     []*message
	mood    mood
	tells   bool // keeps the trace
	trace   []string

	seen history
}

// message is a fact as a broker keeps it, read already.
type message struct {
	kind    string
	event   eventapi.Fact
	booking bookingapi.Fact
	// acknowledged says that somebody took it in; until then it comes again.
	acknowledged bool
}

// proc is a process at work on one thing: it runs only when it is resumed, until
// just before its next operation.
type proc struct {
	id   int
	name string
	// started is the step of its first operation. A request that is still on its
	// way before that is, to all others, one that comes later.
	started int
	frozen  bool
	crashed bool
	pending string // the operation that it stopped before

	next  func() (string, bool)
	stop  func()
	yield func(string) bool

	failBefore, failAfter bool
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
	all := moods()
	w.mood = all[w.rng.IntN(len(all))]
	w.seen.init()
	return w
}

func (w *world) startEventApp(i int) {
	w.events[i] = eventtest.NewService(eventtest.Env{
		Store: answering{w.eventStore.Through(w.gate), w}, Bookings: settler{w}, Clock: w, IDs: w, HoldSettleAfter: settleAfter,
	})
}

// answering is a store whose answers about seats are on their way for a while.
// Another that works in the same process may go on meanwhile, and what the process
// remembers is then newer than the answer.
type answering struct {
	*eventtest.Store
	w *world
}

func (a answering) GetEvent(ctx context.Context, id string) (eventtest.Event, error) {
	e, err := a.Store.GetEvent(ctx, id)
	return e, a.w.answer("events.read", err)
}

func (a answering) GetHolds(ctx context.Context, ids []string) (map[string]eventtest.Hold, error) {
	holds, err := a.Store.GetHolds(ctx, ids)
	return holds, a.w.answer("holds.read", err)
}

// answer stops whoever runs before an answer comes in: always when every schedule
// is tried, else at times, so that schedules reach as far as before.
func (w *world) answer(op string, err error) error {
	p := w.current
	if p == nil || p.crashed || !w.every && !w.chance(4) {
		return err
	}
	if !p.yield("the answer of " + op) {
		p.crashed = true
		return errCrashed
	}
	return err
}

func (w *world) startBookingApp(i int) {
	w.bookings[i] = bookingtest.NewService(bookingtest.Env{
		Store: w.bookingStore.WithGate(w.gate), Seats: seats{w}, Events: seats{w}, Clock: w, IDs: w,
		TTL: ttl, MaxPerBooking: 10,
	})
}

// Now is the clock of all processes.
func (w *world) Now() time.Time { return w.now }

// NewID makes ids that repeat with the seed.
func (w *world) NewID() string {
	w.ids++
	return fmt.Sprintf("id-%d", w.ids)
}

func (w *world) event() *eventtest.Service     { return w.events[w.rng.IntN(replicas)] }
func (w *world) booking() *bookingtest.Service { return w.bookings[w.rng.IntN(replicas)] }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) logf(format string, args ...any) {
	if !w.tells {
		return
	}
	w.trace = append(w.trace, fmt.Sprintf("%4d %s", w.step, fmt.Sprintf(format, args...)))
}

// gate stops whoever runs before each operation.
func (w *world) gate(op string) (before, after error) {
	p := w.current
	if p == nil {
		return nil, nil // the test itself
	}
	if p.crashed || !p.yield(op) {
		p.crashed = true
		return errCrashed, nil
	}
	if p.failBefore {
		before = errNoReply
	}
	if p.failAfter {
		after = errNoReply
	}
	p.failBefore, p.failAfter = false, false
	return before, after
}

// spawn starts a process, which has not done anything yet.
func (w *world) spawn(name string, run func(p *proc)) *proc {
	p := &proc{id: len(w.seen.names), name: name, started: math.MaxInt}
	w.seen.names = append(w.seen.names, name)
	p.next, p.stop = iter.Pull(iter.Seq[string](func(yield func(string) bool) {
		p.yield = yield
		run(p)
	}))
	p.pending = "start"
	w.procs = append(w.procs, p)
	w.logf("p%d starts: %s", p.id, name)
	return p
}

// resume lets a process do its next operation and go on until before the one
// after that. It returns false when the process is done.
func (w *world) resume(p *proc) bool {
	w.step++
	was := p.pending
	if was == "start" {
		p.started = math.MaxInt
	} else if p.started == math.MaxInt {
		p.started = w.step
	}
	outer := w.current
	w.current = p
	op, ok := p.next()
	w.current = outer
	if was != "start" {
		w.logf("p%d does %s", p.id, was)
	}
	p.pending = op
	if !ok {
		w.remove(p)
	}
	return ok
}

// crash ends a process where it stands.
func (w *world) crash(p *proc) {
	w.step++
	w.logf("p%d crashes before %s", p.id, p.pending)
	outer := w.current
	w.current = p
	p.crashed = true
	p.stop()
	w.current = outer
	w.remove(p)
}

func (w *world) remove(p *proc) {
	w.procs = slices.DeleteFunc(w.procs, func(q *proc) bool { return p == q })
}

// finish runs a process to its end, with checks after each step.
func (w *world) finish(p *proc) error {
	for range 20_000 {
		if err := w.check(); err != nil {
			return err
		}
		w.seen.actor = p
		if !w.resume(p) {
			return w.check()
		}
	}
	return fmt.Errorf("p%d (%s) does not end", p.id, p.name)
}

func (w *world) story() string { return strings.Join(w.trace, "\n") }
