// Package model proves what must hold of seats and bookings, however processes
// are stopped: it runs the real use cases of the event and booking apps over
// stores in memory, under a scheduler that stops a process before any operation
// of a store, for as long as it likes or for ever, and before the answer to a read
// of seats: two that work in one process share what that remembers.
//
// A schedule is drawn from a seed and is the same each time. The scheduler also
// loses replies, delivers facts any number of times in any order, runs sweeps at
// any moment, changes capacity and limit, cancels and deletes the event. After
// every step it checks what must hold at every instant, and when all is at rest,
// what must hold then:
//
//	go test ./test/model -run Schedules -args -seed 4711 -runs 1
//
// Besides, for a dozen small scenarios it tries every schedule there is with a
// bounded number of interruptions:
//
//	go test ./test/model -run EverySchedule -v -args -interruptions 2
package model
