// Package model checks the seat and booking protocol by explicit-state model
// checking of the real code. It has no separate specification: it runs the use
// cases of the event and booking apps over stores in memory, lets a scheduler
// decide what happens next, and checks the invariants after every step.
//
// # Actors, steps and schedules
//
// An actor is one piece of work inside an instance of an app: a client's request,
// a sweep, or the delivery of a fact. Each actor is a coroutine. Only one actor
// runs at a time, and only when the scheduler resumes it.
//
// A step is one store operation, together with the code that follows it until the
// actor stops before its next store operation. The reply to a read of an event or
// of holds may be a separate step. Actors of one instance share its memory, so
// another actor may change what the instance remembers while a reply is on its
// way.
//
// A schedule is the sequence of the scheduler's decisions. It determines
// everything that happens, so a schedule that breaks an invariant can be replayed.
// The scheduler may
//
//   - let any actor take the next step, so two actors interleave in any order;
//   - leave an actor suspended for as long as it likes, or end it, as a stalled or
//     killed process would;
//   - replace an instance with a new one that remembers nothing, as a restart would;
//   - fail a store operation before it takes effect, or lose the reply afterwards;
//   - delay, repeat or lose calls between the apps, and lose their replies;
//   - deliver a fact any number of times, in any order, or lose it for good;
//   - advance the clock, run a sweep, change an event's capacity or limit, cancel or
//     delete the event, and run the job that cancels the bookings of a cancelled event.
//
// # Invariants
//
// After every step, the counters must add up, every live booking must have its
// hold, no limit may be exceeded, and no booking may contradict a reply that a
// client has received. A schedule ends with a recovery without faults: time passes,
// sweeps and jobs run, and facts arrive. In a quarter of the schedules, no fact about a
// booking ever arrives. After that, no booking may be pending past its expiry, no hold may be
// without a booking, no booking may owe the event app a move, and no fact may be unpublished. The
// checks name the invariants I1 to I8, as package invariant does.
//
// # Two searches
//
// The random search draws each schedule from a seed. A failure prints the seed and
// the schedule, and the seed replays it:
//
//	go test ./test/model -run RandomSchedules -args -seed 4711 -runs 1
//
// The exhaustive search takes scenarios of a few actors each and tries every
// schedule with a bounded number of interruptions. An interruption preempts the
// running actor in favour of another one, or ends it. Few bugs need more than two.
// No other faults are injected. Like VeriSoft, the search keeps no set of visited
// states (Godefroid, "Model checking for programming languages using VeriSoft",
// POPL 1997). Like CHESS, it bounds the interruptions (Musuvathi and Qadeer,
// "Iterative context bounding for systematic testing of multithreaded programs",
// PLDI 2007):
//
//	go test ./test/model -run EverySchedule -v -args -interruptions 2
//
// # Example
//
// The model checker found this bug in the booking app:
//
//  1. A confirm reads a booking as pending, and is suspended.
//  2. The booking passes its expiry. Another confirm expires it, finds no seats,
//     raises its hold number, and replies that the booking has expired.
//  3. Another user cancels, so seats become available.
//  4. The first confirm continues, finds the booking expired, and takes new seats
//     under the raised number.
//
// The booking became confirmed although the client had received a definite refusal.
// A confirm now gives up if the booking has expired and its hold number is not the
// one that the confirm started from.
package model
