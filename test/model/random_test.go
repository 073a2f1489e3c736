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
	flagSeed = flag.Uint64("seed", 1, "seed of the first random schedule")
	flagRuns = flag.Int("runs", defaultRuns, "number of random schedules")

	flagInterruptions = flag.Int("interruptions", defaultInterruptions, "maximum number of interruptions in a schedule of the exhaustive search")
)

const (
	stepsPerRun = 160
	// maxActors is the number of actors at which the scheduler stops spawning more. If
	// all of them are frozen, it spawns up to twice as many.
	maxActors = 7
)

// TestRandomSchedulesKeepTheInvariants checks the invariants after each step of
// many random schedules. A failure prints the schedule and the seed that replays it.
func TestRandomSchedulesKeepTheInvariants(t *testing.T) {
	steps := 0
	for i := range *flagRuns {
		seed := *flagSeed + uint64(i)
		w, err := run(seed, false)
		steps += w.step
		if err != nil {
			w, _ = run(seed, true)
			t.Fatalf("seed %d: %v\n%s", seed, err, w.traceText())
		}
	}
	t.Logf("%d schedules, %d steps", *flagRuns, steps)
}

// TestSeedReplaysItsSchedule checks that a printed seed is enough to debug a
// failure.
func TestSeedReplaysItsSchedule(t *testing.T) {
	for seed := range uint64(20) {
		a, errA := run(seed, true)
		b, errB := run(seed, true)
		if fmt.Sprint(errA) != fmt.Sprint(errB) || a.traceText() != b.traceText() {
			t.Fatalf("seed %d: got two different schedules, want the same one twice", seed)
		}
	}
}

// run runs the schedule of a seed. It returns the final world, and an error for the
// first violation of an invariant.
func run(seed uint64, keepTrace bool) (*world, error) {
	w := newWorld(seed)
	w.keepsTrace = keepTrace
	defer w.crashAll()
	if err := w.createRandomEvent(); err != nil {
		return w, err
	}
	for w.step < stepsPerRun {
		w.decide()
		if err := w.check(); err != nil {
			return w, err
		}
	}
	// Of the remaining actors, some finish before the recovery, some never do, and
	// the others finish after it.
	for _, a := range slices.Clone(w.actors) {
		switch w.rng.IntN(3) {
		case 0:
			if err := w.finish(a); err != nil {
				return w, err
			}
		case 1:
			w.crash(a)
		}
	}
	if err := w.recover(0); err != nil {
		return w, err
	}
	for len(w.actors) > 0 {
		if err := w.finish(w.actors[w.rng.IntN(len(w.actors))]); err != nil {
			return w, err
		}
	}
	if err := w.recover(0); err != nil {
		return w, err
	}
	return w, w.recover(ttl)
}

// createRandomEvent publishes an event with few seats. Half of the events have a limit
// per user.
func (w *world) createRandomEvent() error {
	def := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(w.now.Add(100 * 24 * time.Hour)), EndsAt: contract.At(w.now.Add(101 * 24 * time.Hour)),
		Capacity: int64(1 + w.rng.IntN(4)),
	}
	if w.oneIn(2) {
		limit := int64(1 + w.rng.IntN(3))
		def.MaxPerUser = &limit
	}
	_, err := w.events[0].CreateEvent(context.Background(), eventapi.CreateRequest{EventID: eventID, OrganizerID: "admin", Event: def})
	return err
}

// decide makes one random decision of the scheduler.
func (w *world) decide() {
	w.seen.lastActor = nil
	runnable := slices.DeleteFunc(slices.Clone(w.actors), func(a *actor) bool { return a.frozen })
	switch n := w.rng.IntN(100); {
	case len(runnable) == 0 || n < 12 && len(w.actors) < maxActors:
		if len(w.actors) >= 2*maxActors {
			w.crash(w.actors[w.rng.IntN(len(w.actors))])
			return
		}
		w.step++
		w.spawnRandom()
	case n < 14:
		w.crash(w.actors[w.rng.IntN(len(w.actors))])
	case n < 17:
		a := w.actors[w.rng.IntN(len(w.actors))]
		a.frozen = !a.frozen
	case n < 19:
		w.step++
		w.now = w.now.Add([]time.Duration{time.Second, settleAfter + time.Second, ttl}[w.rng.IntN(3)])
		w.logf("the clock advances to %s", w.now.Format(time.TimeOnly))
	case n < 20:
		w.step++
		i := w.rng.IntN(replicas)
		w.startEventApp(i)
		w.startBookingApp(i)
	default:
		a := runnable[w.rng.IntN(len(runnable))]
		// Several steps in a row let an actor make progress, so that schedules reach
		// further states.
		for range 1 + w.rng.IntN(4) {
			a.failBefore, a.failAfter = w.oneIn(60), w.oneIn(60)
			w.seen.lastActor = a
			if !w.resume(a) {
				return
			}
			if w.check() != nil {
				return
			}
		}
	}
}

// recover advances the clock by settleAfter and wait, and lets the system recover
// without faults: each sweep runs twice, every fact that is not acknowledged is delivered,
// in random order, and the jobs of cancelled events run. Some acknowledged facts are
// delivered again. Then recover checks what must hold at rest.
func (w *world) recover(wait time.Duration) error {
	w.faultless = true
	defer func() { w.faultless = false }()
	w.logf("recovery")
	w.now = w.now.Add(settleAfter + wait + time.Second)
	for range 2 {
		for _, a := range []*actor{w.sweepEvents(), w.sweepBookings()} {
			if err := w.finish(a); err != nil {
				return err
			}
		}
		for range 2 { // the handler of a fact may write another fact
			w.relay()
			if err := w.deliverAll(); err != nil {
				return err
			}
			if err := w.finish(w.runCancellations()); err != nil {
				return err
			}
		}
	}
	return w.checkAtRest()
}

// deliverAll delivers the facts on the bus in random order: all that are not
// acknowledged, and some that are.
func (w *world) deliverAll() error {
	facts := slices.Clone(w.bus)
	w.rng.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	for _, m := range facts {
		if m.acknowledged && !w.oneIn(5) {
			continue
		}
		if a := w.deliver(m); a != nil {
			if err := w.finish(a); err != nil {
				return err
			}
		}
	}
	return nil
}
