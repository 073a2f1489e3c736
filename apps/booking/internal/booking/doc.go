// Package booking contains the use cases of the booking app and the rules that
// bookings follow. It does not import a database driver, the sidecar or a wire
// format; adapters for those implement the interfaces in ports.go.
//
// # The record decides
//
// A booking is one record. The record alone decides whether the booking is live,
// that is, whether it is pending or confirmed. The event app owns the seats and
// keeps a hold for each booking, but a hold has no meaning of its own: the event
// app asks SettleHold whether a live booking stands behind it.
//
//	pending   -> confirmed, cancelled or expired
//	confirmed -> cancelled
//	expired   -> confirmed, by a late confirm that reserved new seats
//
// Every change is a compare-and-set on the record's state and hold number. The
// same write appends the fact about the change to the record's outbox.
//
// # Hold numbers are fencing tokens
//
// A process can stall at any point, for any length of time, and then continue. A
// create that stalls between its reserve and its insert must not make a booking
// after the client was told that there is none. A booking therefore numbers its
// holds: the first is 1, and each new attempt to take seats after a definite
// refusal uses the next number. The number is a fencing token (Kleppmann, "How to do
// distributed locking", 2016; the sequencers of Chubby, Burrows, OSDI 2006): an
// attempt chooses its number from the record that it reads when it starts, uses no
// other, and its compare-and-set fails once that number is invalid.
//
// A number is invalidated by a write to the record, so that the stalled attempt
// fails at its own write:
//
//   - If there is no record, a record in state refused is inserted with the next
//     number. A refused record is not a booking. Clients never see it; it only
//     stores the first number that is still valid. The store may delete it after a
//     day.
//   - If there is a refused or an expired record, its number is raised.
//   - A pending, confirmed or cancelled record needs no change. A hold with a later
//     number cannot exist before the booking has expired.
//
// # Create
//
// CreateBooking reserves the hold first and then inserts the record as pending. The
// insert makes the booking. A crash before the insert leaves a hold without a
// booking, which the event app's sweep finds and settles.
//
// The booking's id is the hash of the user and the idempotency key. Without a key
// it is the id that the caller chose for this one request. If a booking with that id
// exists, its fingerprint, a hash of the request, decides: the same request gets
// the first answer again, and a different request gets ErrIdempotencyMismatch.
// Concurrent duplicates of one request reserve the same hold, and one of them wins
// the insert. The hold id, <booking>_<number>_<fingerprint>, contains the
// fingerprint so that different requests under one key never share a hold.
//
// A definite refusal such as "sold out" is only returned after the number of this
// attempt was invalidated. Without that, this interleaving would create a booking
// behind the client's back. A and B are the same request with the same key; B is
// the client's retry after A stalled:
//
//	A  read the record: none, so use number 1; stall
//	B  read the record: none, so use number 1
//	B  reserve hold 1: sold out
//	B  insert a refused record with number 2         number 1 is invalid from here
//	B  answer "sold out"
//	-  another user cancels, and seats become free
//	A  continue; reserve hold 1: reserved
//	A  insert the booking: a record exists           A is fenced off
//	A  read the record: refused, number 2; release hold 1; answer Unavailable
//	C  read the record: refused, so use number 2
//	C  reserve hold 2, replace the refused record    the booking is pending
//
// A must not adopt number 2 and continue, because B's answer was already given. It
// answers Unavailable; the client's next request, C, starts with number 2.
//
// # Confirm, cancel and expire
//
// ConfirmBooking does not call the event app unless the booking is past its expiry.
// In that case it expires the booking first, reserves the hold with the next
// number, and then replaces the expired record with a confirmed one. Like a create,
// it uses one number only and invalidates it before it refuses.
//
// CancelBooking and ExpireBookings are one compare-and-set each. They then release
// the seats directly, as an optimisation: if the release fails, the event app
// releases the seats when it receives the fact.
//
// # Settle
//
// SettleHold answers the event app's question whether a live booking stands behind
// a hold. It invalidates the hold's number before it answers "not live", so the
// answer remains true: a create or a late confirm that stalled with this number
// fails at its write.
//
// # Calls per operation
//
//	create                       reserve, insert
//	create with a key            read, reserve, insert
//	create, replayed             read
//	create, refused              reserve, insert of the refused record; one more
//	                             read if a record exists
//	confirm                      read, replace
//	cancel                       read, replace, release; for a confirmed booking
//	                             also a read of the event, for its cut-off
package booking
