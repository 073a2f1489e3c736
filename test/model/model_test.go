package model_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

var (
	flagSeed = flag.Uint64("seed", 1, "of the first schedule")
	flagRuns = flag.Int("runs", defaultRuns, "how many schedules")

	flagInterruptions = flag.Int("interruptions", defaultInterruptions, "of a schedule, when all are tried")
)

const (
	stepsPerRun = 160
	maxProcs    = 7
)

// TestSchedules draws schedules and checks the invariants after each step of
// each. A failure prints the seed, with which it comes again, and the schedule.
func TestSchedules(t *testing.T) {
	steps := 0
	for i := range *flagRuns {
		seed := *flagSeed + uint64(i)
		w, err := run(seed, false)
		steps += w.step
		if err != nil {
			w, _ = run(seed, true)
			t.Fatalf("seed %d: %v\n%s", seed, err, w.story())
		}
	}
	t.Logf("%d schedules, %d steps", *flagRuns, steps)
}

// TestScheduleRepeats: a seed is worth printing only if it repeats.
func TestScheduleRepeats(t *testing.T) {
	for seed := range uint64(20) {
		a, errA := run(seed, true)
		b, errB := run(seed, true)
		if fmt.Sprint(errA) != fmt.Sprint(errB) || a.story() != b.story() {
			t.Fatalf("seed %d made two schedules", seed)
		}
	}
}

func run(seed uint64, tells bool) (*world, error) {
	w := newWorld(seed)
	w.tells = tells
	defer w.end()
	if err := w.open(); err != nil {
		return w, err
	}
	for w.step < stepsPerRun {
		w.tick()
		if err := w.check(); err != nil {
			return w, err
		}
	}
	// Some go on, some never do, and some only when all has recovered.
	for _, p := range slices.Clone(w.procs) {
		switch w.rng.IntN(3) {
		case 0:
			if err := w.finish(p); err != nil {
				return w, err
			}
		case 1:
			w.crash(p)
		}
	}
	if err := w.recover(0); err != nil {
		return w, err
	}
	for len(w.procs) > 0 {
		if err := w.finish(w.procs[w.rng.IntN(len(w.procs))]); err != nil {
			return w, err
		}
	}
	if err := w.recover(0); err != nil {
		return w, err
	}
	return w, w.recover(ttl)
}

// open puts an event on sale.
func (w *world) open() error {
	def := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(w.now.Add(100 * 24 * time.Hour)), EndsAt: contract.At(w.now.Add(101 * 24 * time.Hour)),
		Capacity: int64(1 + w.rng.IntN(4)),
	}
	if w.chance(2) {
		limit := int64(1 + w.rng.IntN(3))
		def.MaxPerUser = &limit
	}
	_, err := w.events[0].CreateEvent(context.Background(), eventapi.CreateRequest{EventID: eventID, OrganizerID: "admin", Event: def})
	return err
}

// tick does one thing at random.
func (w *world) tick() {
	w.seen.actor = nil
	awake := slices.DeleteFunc(slices.Clone(w.procs), func(p *proc) bool { return p.frozen })
	switch n := w.rng.IntN(100); {
	case len(awake) == 0 || n < 12 && len(w.procs) < maxProcs:
		if len(w.procs) >= 2*maxProcs {
			w.crash(w.procs[w.rng.IntN(len(w.procs))])
			return
		}
		w.step++
		w.begin()
	case n < 14:
		w.crash(w.procs[w.rng.IntN(len(w.procs))])
	case n < 17:
		p := w.procs[w.rng.IntN(len(w.procs))]
		p.frozen = !p.frozen
	case n < 19:
		w.step++
		w.now = w.now.Add([]time.Duration{time.Second, settleAfter + time.Second, ttl}[w.rng.IntN(3)])
		w.logf("it is %s", w.now.Format(time.TimeOnly))
	case n < 20:
		w.step++
		i := w.rng.IntN(replicas)
		w.startEventApp(i)
		w.startBookingApp(i)
	default:
		p := awake[w.rng.IntN(len(awake))]
		// Runs of steps reach further than single ones: who is alone gets on.
		for range 1 + w.rng.IntN(4) {
			p.failBefore, p.failAfter = w.chance(60), w.chance(60)
			w.seen.actor = p
			if !w.resume(p) {
				return
			}
			if w.check() != nil {
				return
			}
		}
	}
}

// recover is what happens when faults are over: the settling time passes, sweeps
// run twice, and every fact that nobody took in yet arrives, others once more, in
// any order.
func (w *world) recover(wait time.Duration) error {
	w.calm = true
	defer func() { w.calm = false }()
	w.logf("recovery")
	w.now = w.now.Add(settleAfter + wait + time.Second)
	for range 2 {
		for _, p := range []*proc{w.sweepEvents(), w.sweepBookings()} {
			if err := w.finish(p); err != nil {
				return err
			}
		}
		for range 2 { // facts make facts
			w.relay()
			if err := w.deliverAll(); err != nil {
				return err
			}
		}
	}
	return w.checkAtRest()
}

func (w *world) deliverAll() error {
	facts := slices.Clone(w.bus)
	w.rng.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	for _, m := range facts {
		if m.acknowledged && !w.chance(5) {
			continue
		}
		if p := w.deliver(m); p != nil {
			if err := w.finish(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) end() {
	for len(w.procs) > 0 {
		w.crash(w.procs[0])
	}
}
