// Package booking contains the use cases of the booking app and the rules that
// bookings follow. It does not import a database driver, the sidecar or a wire
// format; adapters for those implement the interfaces in ports.go.
//
// # The record decides
//
// A booking is one record. The record alone decides whether the booking is live,
// that is, whether it is pending or confirmed. The event app owns the seats and
// keeps a hold for each booking, but a hold proves nothing by itself: the event app
// calls SettleHold to find out whether the hold belongs to a live booking.
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
// A process can stall at any point, for far longer than its timeouts, and then
// continue. A create that stalls between its reserve and its insert must not create
// a booking after the client has received a definite refusal. A booking therefore
// numbers its holds. The first is 1. After a definite refusal or an expiry, the next
// attempt to take seats uses the next number.
//
// The number is a fencing token (Kleppmann, "How to do distributed locking", 2016;
// compare the sequencers of Chubby in Burrows, OSDI 2006). An attempt chooses its
// number when it starts, from the record that it reads, and never changes it. Its
// compare-and-set fails once that number is invalid.
//
// A number is invalidated by a write to the record, so a stalled attempt fails at its
// own write:
//
//   - If there is no record, a record in state refused is inserted with the next
//     number. A refused record is not a booking, and clients never see it. It only
//     stores the first number that is still valid. The store may delete it after a
//     day, which is longer than any process is expected to stall. The record of a create
//     without a key is only kept while the sidecar can repeat the request, unless
//     SettleHold relies on it.
//   - If there is a refused or an expired record, its number is raised.
//   - A pending, confirmed or cancelled record needs no change. An attempt that
//     started before that record was written fails at its own write, and a later
//     number is not used before the booking has expired.
//
// # Create
//
// CreateBooking reserves the hold first and then inserts the record as pending. The
// insert creates the booking. A crash before the insert leaves a hold without a
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
// CreateBooking returns a definite refusal such as "sold out" only after it has
// invalidated the number of its attempt. Otherwise an earlier attempt that stalled
// could still create the booking. In the following example, A and B are the same
// request with the same key; B is the client's retry after A stalled, and C is the
// client's next request:
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
// A must not adopt number 2 and continue, because the client already has the answer
// to B.
//
// # Pending tickets of a user
//
// A create is refused if the user would have too many tickets in pending bookings, over all
// events. The count is one query, which runs while the create takes its lock and reads its
// record, so it makes no create slower. The refusal is like one of the event app: it is
// returned only after the attempt's number was invalidated, and a booking that exists is
// returned whatever the user has pending.
//
// # Confirm, cancel and expire
//
// ConfirmBooking does not call the event app unless the booking is past its expiry.
// In that case it first expires the booking, then reserves the hold with the next
// number, and then replaces the expired record with a confirmed one. Like a create,
// it uses one number only and invalidates it before it refuses.
//
// If that reserve is refused while the release of the old hold has not been acknowledged,
// the old hold may be the reason. ConfirmBooking then releases it first and tries again.
//
// CancelBooking changes a booking with one compare-and-set, and so does Sweep for each due
// booking. Both then release the seats directly.
//
// Cancelled and expired bookings are kept. Users and admins read them, an expired
// booking can still be confirmed, and an idempotency key is valid as long as its
// booking.
//
// # Obligations
//
// After such a change the event app must move a hold: it must sell the hold of a confirmed
// booking, and release that of a cancelled or expired one. The booking owes this move. The
// write that makes the change also stores the obligation in the record, where it stays until
// the event app has acknowledged the move.
//
// The direct call and the fact make the move within milliseconds, but nothing depends on
// them: both may be lost for good. The sweep works through the obligations that are older
// than a few seconds, in the order of their times. It claims a page of bookings, makes the
// moves, 32 in one call, and removes the obligations. All of these moves are idempotent, and
// most of them find nothing left to do.
//
// A claim is a lease on the record, and decides nothing: two sweeps that handle one booking
// only waste work. A sweep removes obligations only from the revision of the record that it
// read. What a later change added therefore stays.
//
// # Cancelled events
//
// An event may have a hundred thousand live bookings. The fact that it was cancelled
// only stores a job (a Cancellation), so that the consumer of facts is free again at
// once. Every process works on jobs in the background:
//
//   - A process claims a due job for the duration of a lease, by compare-and-set. Each
//     page of bookings renews the lease and saves the position. When a process dies or
//     stalls, another one claims the job after the lease and continues there.
//   - A page of live bookings is read by id. A few of them at a time are changed by
//     compare-and-set. Then their seats are released, 32 in one call, and their facts are
//     published.
//   - Neither the lease nor the position decides anything. The job is done when a query
//     from the first id finds no live booking, and when the fact was not repeated since.
//     The event app repeats it as long as the event has held or sold seats, so a booking
//     that was created during the job is found as well.
//
// A job with errors pauses and is retried. A booking that cannot be cancelled keeps its
// job from being done, but does not keep the other bookings from being cancelled.
//
// A job must not starve other events. It publishes the facts of a page before it reads the
// next page, so that a fact of another booking waits behind one page at most, and an
// outage of the bus stops the job instead of filling the outboxes. The seats are released
// before the facts are published, so that the event app's consumer finds nothing to do for
// most of them. A pacer keeps the job below the rate at which that consumer works.
//
// # Settle
//
// SettleHold tells the event app whether a hold belongs to a live booking. It
// invalidates the hold's number before it answers "not live", so the answer remains
// true: a create or a late confirm that stalled with this number fails at its write.
//
// # Calls per operation
//
// These are the calls to the store and the event app if nothing else changes the
// record. For each page of bookings, the sweep adds a query, a claim, a call for each 32
// holds of an event, and a write that removes the obligations.
//
//	create                       reserve, insert; with a limit of pending tickets also a
//	                             query for them, beside the lock and the read
//	create with a key            read, reserve, insert
//	create, replayed             read
//	create, refused              reserve, insert of the refused record; if sold out,
//	                             at most once a second per event also a query for due
//	                             bookings
//	confirm                      read, replace
//	cancel                       read, replace, release; for a confirmed booking
//	                             also a read of the event, for its cut-off
//	event cancelled              read, insert of the job
//	page of a job                query for 128 bookings, 128 replaces, 4 releases, replace of
//	                             the job
package booking
