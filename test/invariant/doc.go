// Package invariant checks a running system from outside. It reads the stores, the
// streams of facts and the gateway, and compares them with one another and with a
// ledger of the replies that clients received. The invariants are those of the
// booking protocol:
//
//	I1  no event has more seats taken than its capacity
//	I2  counters, holds, live bookings and log entries add up to the same sums
//	I3  a booking that was reported with 201 exists, and a refused one does not
//	I4  one idempotency key makes one booking with one hold, however often it is sent
//	I5  each fact is in its stream exactly once
//	I6  no booking is pending past its expiry, and no hold outlives its booking
//	I7  every fact in an outbox has been published
//	I8  no user has more seats of an event than its limit allows
//
// I1 holds at every instant. The others hold when no work is in progress and the
// sweeps have run.
package invariant
