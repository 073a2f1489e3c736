// Package event implements events and their seats. It depends on no store, sidecar or
// wire format: those are adapters behind the interfaces in ports.go.
//
// # Sources of truth
//
// The event's document decides whether seats move. The booking's record decides whether
// a booking is live. No clock frees a seat here, no lock protects one, and safety does
// not depend on the delivery of any message.
//
// # How seats move
//
// An event has seats {capacity, available, held, sold, version, marks}. Each booking
// that reserved seats has a Hold, which is a document of its own. A hold is held, then
// sold or released; a sold hold may be released too. Moving seats therefore writes two
// documents, the event and the hold, and the store has no transactions. The protocol is
// a compare-and-set of the event with a write-ahead mark for the hold:
//
//  1. Read the event. Let v be its seats.version.
//  2. Then read the hold.
//  3. If the event has a mark of this hold whose step is unfinished, finish that step
//     and read the hold again.
//  4. Decide. Write the event if seats.version is still v: the new counters, a mark, and
//     version v+1. The mark is the whole hold as it is to become. If the version differs,
//     the write is stale: start again at 1.
//  5. Finish the step: write the hold as its mark says. A later write of the event
//     removes the mark.
//
// The write in step 4 is the only commit point. Everything after it is idempotent
// completion: any process can finish the step from the mark alone, any number of times.
// Three invariants make this safe:
//
//   - The version is in the filter of every write, so two moves never start from the
//     same counters. A process that was suspended anywhere, for any time, finds its
//     write stale and looks again.
//   - A mark is removed only when its step is finished.
//   - No step of a hold starts before the previous one is finished, so a mark never
//     replaces an unfinished one.
//
// For example, two processes release the same hold of two seats concurrently:
//
//	A: reads the event (v=7) and the hold (held)
//	B: reads the event (v=7) and the hold (held)
//	A: writes the event where v=7: held-2, available+2, mark {h, released}, v=8
//	A: crashes; the hold's document still says "held"
//	B: writes the event where v=7: stale, nothing happens
//	B: reads the event (v=8), the hold (held) and the mark {h, released}
//	B: finishes the step: writes the hold as released
//	B: reads the hold again (released): nothing is left to do
//
// Without the mark, B would count the seats of h a second time.
//
// # Tombstones
//
// A release of an unknown hold marks the event and then inserts the hold as released.
// Such a hold is a tombstone. A reserve of the same hold that is under way finds its
// write stale, starts again, and then finds the tombstone.
//
// Changes of the definition that concern selling, and the deletion of an event, compare
// and raise seats.version too. An event with marks is not deleted. If a release finds
// that the event is gone, it still releases its hold and gives the limit entry back.
//
// # Batches
//
// Concurrent moves of one event are coalesced (package coalesce). The members of a
// batch share the reads of steps 1 to 3 and the write of step 4, in which each sees the
// counters as the members before it leave them. A member moves one hold, and no batch
// has two members with the same hold. A decision is a pure function of the event and
// the hold, because a batch decides again after every stale write. Batches of several
// processes race like single moves do; the compare-and-set decides.
//
// # The limit for each user
//
// An event may limit how many tickets a user has. Between steps 3 and 4, a reserve that
// would move claims an entry: one conditional update of the document {used, by: {<hold>:
// quantity}} of event and user. The claims of a batch run concurrently, each in the
// context of its own request. If a claim is denied, the batch decides again, because
// the seats of the denied member are now free for the members behind it.
//
// An entry is given back only after its hold was released. If the event refuses a
// reserve after the claim, the reserve therefore writes a tombstone first, as a release
// does. Otherwise a concurrent duplicate request that found the entry could still
// reserve the hold, which would then not count toward the limit.
//
// A claim also stamps the document with its time. The stamp makes a sweep check entries
// that a crash may have left behind: it gives back those of released holds, after it has
// written a tombstone for those without a hold. Once every entry belongs to a counted
// hold, the sweep clears the stamp. The limit covers the holds that were reserved since
// it was set.
//
// # Liveness
//
// A booking's fact links the hold to its booking. A sweep asks the booking app about a
// hold that was not linked within HoldSettleAfter, and about a hold that is still held
// that long after its booking should have expired. The booking app answers live or dead,
// and makes a dead booking impossible before it answers; the hold is then released. A
// process remembers new links until its next sweep, which writes many of them at once.
// If the process is killed before, a sweep asks once too often.
//
// Facts from the bus are applied to holds, and the state of the hold serves as the
// inbox: a duplicate fact finds that the hold has reached its state already, and changes
// nothing.
//
// # Cost
//
// The following numbers are round trips to the store without contention. The holds of a
// request, and all members of a batch, share them.
//
//	reserve                       4: event, hold, event (write), hold (insert)
//	reserve under a limit         5: the claim in addition
//	reserve that is sold out      2; 3 under a limit
//	repeated reserve              2
//	release, sell                 4; 5 for a release under a limit
//	repeated release or sell      2
package event
