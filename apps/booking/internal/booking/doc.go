// Package booking holds the rules of bookings. It knows no store, no sidecar and
// no wire: those are adapters behind the ports of ports.go.
//
// # The record
//
// The booking record decides whether a booking is live; nothing else does. It
// goes pending -> confirmed, cancelled or expired; confirmed -> cancelled; and
// expired -> confirmed by a late confirm that found seats. Every change is a
// compare-and-set on state and n, with the fact for the outbox in the same write.
//
// n is the number of the booking's hold at the event: 1, and one more each time
// seats are taken anew. The hold's id is <booking>_<n>_<hash of the request>, so
// that requests which share an idempotency key and differ never share a hold.
//
// # Create
//
// The hold is reserved first, then the record is inserted as pending: that insert
// is the booking. What was answered 201 is never lost, and a crash before the
// insert leaves a hold that the event's sweep asks about.
//
// The booking's id is the hash of user and idempotency key, or what the caller
// chose for this one request. If it is taken, by the same request, the first
// answer is given again; by another, the key does not match and the new hold is
// given back. Twins in flight reserve the same hold and meet at the insert.
//
// Before a create refuses for good it makes dead whatever an earlier try of the
// same id could still become: it inserts a record in the state refused, or raises
// the n of the one that is there. Such a record is shown to nobody, carries the
// first n that may be used, and may go after a day. A create uses the n that it
// began with, or one that it raised itself; when another raised it meanwhile, it
// must not become a booking any more, since the client may have been told so. It
// then answers Unavailable, and the client's next try begins with the new n.
//
// # Confirm, cancel, expire
//
// A confirm needs no event app unless it is late: a booking past its expiry is
// expired first; then hold n+1 is reserved and the record becomes confirmed with
// n+1 where it still is expired with n. Cancel and expire are a compare-and-set,
// after which the seats are given back directly; if that fails, the fact does it.
//
// # Settle
//
// The event app asks whether a hold stands behind a live booking. Dead is made
// true before it is said: an unknown booking gets a refused record with the next
// n, a refused or expired one its n raised, so that a create or late confirm that
// was stopped fails at its insert or compare-and-set.
//
// # What it costs
//
//	create                       reserve, insert
//	create with a key            read, reserve, insert
//	create again                 read
//	create refused               reserve, insert (a refused record); one more read
//	                             when the record is there
//	confirm                      read, write
//	cancel                       read, write, release; a confirmed one asks the
//	                             event for its cutoff besides
package booking
