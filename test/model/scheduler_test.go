package model_test

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

var (
	errCrashed = errors.New("the process has crashed")
	errNoReply = errors.New("the reply was lost")
)

// pendingStart is the pending operation of an actor that has not run yet.
const pendingStart = "start"

// actor is one request, sweep or delivery. It runs only when the scheduler resumes it,
// and stops just before its next store operation.
type actor struct {
	id   int
	name string
	// started is the step of the first store operation. Until then it is math.MaxInt,
	// because an actor that has used no store behaves like one that is spawned later.
	started int
	frozen  bool   // suspended for now
	crashed bool   // never resumed again; every operation fails
	pending string // the operation before which it stopped

	next  func() (string, bool)
	stop  func()
	yield func(string) bool

	// Whether the next operation fails before it takes effect, or loses its reply.
	failBefore, failAfter bool
}

// spawn adds an actor that runs run. The actor takes its first step when it is resumed.
func (w *world) spawn(name string, run func(a *actor)) *actor {
	a := &actor{id: w.spawned, name: name, started: math.MaxInt}
	w.spawned++
	a.next, a.stop = iter.Pull(iter.Seq[string](func(yield func(string) bool) {
		a.yield = yield
		run(a)
	}))
	a.pending = pendingStart
	w.actors = append(w.actors, a)
	w.logf("a%d is spawned: %s", a.id, name)
	return a
}

// gate stops the running actor before a store operation. If before is not nil, the
// operation returns it and does not take effect. If after is not nil, the operation takes
// effect and then returns after.
func (w *world) gate(op string) (before, after error) {
	a := w.current
	if a == nil {
		return nil, nil // the test itself uses the store
	}
	if a.crashed || !a.yield(op) {
		a.crashed = true
		return errCrashed, nil
	}
	if a.failBefore {
		before = errNoReply
	}
	if a.failAfter {
		after = errNoReply
	}
	a.failBefore, a.failAfter = false, false
	return before, after
}

// delayReply stops the running actor before it receives the reply to op. The exhaustive
// search delays every reply. The random search delays one reply in four, because more
// delays would keep its schedules from reaching far. delayReply returns err, or
// errCrashed if the actor crashes during the delay.
func (w *world) delayReply(op string, err error) error {
	a := w.current
	if a == nil || a.crashed || !w.exhaustive && !w.oneIn(4) {
		return err
	}
	if !a.yield("reply to " + op) {
		a.crashed = true
		return errCrashed
	}
	return err
}

// resume lets an actor take one step: the actor performs its pending operation, and
// continues until just before the next one. resume returns false if the actor has ended.
func (w *world) resume(a *actor) bool {
	w.step++
	was := a.pending
	if was == pendingStart {
		a.started = math.MaxInt
	} else if a.started == math.MaxInt {
		a.started = w.step
	}
	outer := w.current
	w.current = a
	op, ok := a.next()
	w.current = outer
	if was != pendingStart {
		w.logf("a%d resumed at %s", a.id, was)
	}
	a.pending = op
	if !ok {
		w.remove(a)
	}
	return ok
}

// crash ends an actor before its pending operation.
func (w *world) crash(a *actor) {
	w.step++
	w.logf("a%d crashes before %s", a.id, a.pending)
	outer := w.current
	w.current = a
	a.crashed = true
	a.stop()
	w.current = outer
	w.remove(a)
}

// crashAll ends every actor.
func (w *world) crashAll() {
	for len(w.actors) > 0 {
		w.crash(w.actors[0])
	}
}

func (w *world) remove(a *actor) {
	w.actors = slices.DeleteFunc(w.actors, func(b *actor) bool { return a == b })
}

// finish runs an actor to its end, and checks the invariants after each step.
func (w *world) finish(a *actor) error {
	const maxSteps = 20_000
	for range maxSteps {
		if err := w.check(); err != nil {
			return err
		}
		w.seen.lastActor = a
		if !w.resume(a) {
			return w.check()
		}
	}
	return fmt.Errorf("a%d (%s) has not ended after %d steps", a.id, a.name, maxSteps)
}
