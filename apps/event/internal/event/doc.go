// Package event implements events and their seats. It depends on no database, message
// broker or sidecar: those are adapters behind the interfaces in ports.go. The requests
// and responses of its use cases are the types of package eventapi.
//
// # Sources of truth
//
// The event's document decides whether seats move. The booking's record, in the booking
// app, decides whether a booking is live. This app never frees seats merely because
// time has passed. No lock protects seats, and safety does not depend on the delivery of
// any message.
//
// # How seats move
//
// An event has seats: the counters capacity, available, held and sold, a version, and a
// set of marks. Each reservation of seats for a booking is a Hold, which is a document of
// its own. A hold is held, then sold or released; a sold hold may be released too.
//
// Moving seats writes two documents, the event and the hold, and the store has no
// transactions. The move is therefore committed by one compare-and-set of the event.
// This write also leaves a mark, as in a write-ahead log: a copy of the hold in its new
// state. Bringing the hold's document to the state in its mark is called finishing the
// step. A move has five phases:
//
//  1. Read the event. Let v be its seats.version.
//  2. Read the hold.
//  3. If the event has a mark of this hold and the step of the mark is unfinished,
//     finish the step and read the hold again.
//  4. Decide. Write the event if its seats.version is still v: the new counters, the
//     mark, and version v+1. If the version differs, the write is stale: start again at
//     phase 1.
//  5. Finish the step. A later write of the event removes the mark.
//
// The write in phase 4 is the only commit point. Everything after it is idempotent
// completion: any process can finish the step from the mark alone, any number of times.
// Four rules make this safe:
//
//   - Every write of the seats or the definition compares seats.version and raises it, so
//     no two writes succeed from the same counters. A process that was suspended before
//     its write finds the write stale and starts again.
//   - A mark is removed only after its step is finished.
//   - No step of a hold begins before the previous one is finished (phase 3), so a mark
//     never replaces one whose step is unfinished.
//   - The hold is read after the event. If the event has no mark of the hold, the hold's
//     document then shows every move up to version v; if it shows a later one, the write
//     is stale. In the opposite order, another process could release the hold, finish
//     the step and remove the mark between the two reads. The release would then be
//     counted twice.
//
// For example, two processes release the same hold h of two seats concurrently:
//
//	A: reads the event (v=7) and h (held)
//	B: reads the event (v=7) and h (held)
//	A: writes the event where v=7: held-2, available+2, mark {h, released}, v=8
//	A: crashes; the document of h still says "held"
//	B: writes the event where v=7: stale, nothing happens
//	B: reads the event (v=8, with the mark {h, released}) and h (held)
//	B: finishes the step: writes h as released
//	B: reads h again (released): nothing is left to do
//
// Without the mark, B would count the seats of h a second time.
//
// # Tombstones
//
// A release of an unknown hold writes a tombstone: it leaves a mark and then inserts a
// hold that is already released. A concurrent reserve of the same hold finds its write
// stale, starts again, and is refused because of the tombstone.
//
// The store keeps released holds, and thus tombstones, for holdPurgeAfter. No process
// may be suspended for longer than that and then continue with a move.
//
// # Changes of the event
//
// Every change of the definition or the status, including the deletion of the event,
// compares and raises seats.version too. A change and a reserve that start from the same
// version therefore never both succeed. An event is deleted only while it has no marks,
// since nothing would finish their steps afterwards. If a release finds that the event
// is gone, it still releases its hold and gives the limit entry back.
//
// The store keeps a deleted event for eventPurgeAfter, and in any case until its last fact
// has left the outbox. Afterwards, every use case treats the event as unknown, which it
// already did before.
//
// # The capacity log
//
// The capacity log of an event has one entry for each change of its counters: the change,
// its cause, its time, the hold and the trace. The sums of all entries are the counters.
//
// An entry is committed together with its change. The write that changes the counters also
// adds the entry to the event's document. The entry is then copied to the log, which is a
// collection of its own, and a later write removes it from the document. The document thus
// is an outbox of entries, and does not grow. Three rules keep the log complete:
//
//   - Only one write succeeds at each version. The seats.version that the write makes, and
//     a number within the write, therefore identify an entry. Copying it is idempotent.
//   - An entry is removed from the document only after it was copied.
//   - A reader of the log takes a snapshot of the event at version v, copies the entries
//     that the snapshot still has, and reads the entries up to v.
//
// A move does not wait for the copy longer than for the finishing of its step, and does not
// fail if the copy fails. The sweep copies the entries that a crash left, even those of a
// deleted event.
//
// Entries older than foldAfter are folded: their sum becomes the opening entry, which is
// part of the event's document. The compare-and-set of the opening entry is the commit point
// of a fold. It also sets the version through which entries were folded. Readers ignore
// entries up to that version, and deleting them is idempotent completion. A reader reads the
// entries before the opening entry, so it misses none between the two. If a process that was
// suspended copies a folded entry once more, readers ignore it, and the next fold deletes it.
//
// The log is unbounded only within foldAfter. It is deleted with its event. Entries that were
// copied later, or that the deletion missed, are deleted at the age of foldAfter.
//
// # Batches
//
// Concurrent moves of one event are coalesced into batches (package coalesce). Each
// member of a batch moves one hold, and no batch has two members with the same hold. The
// members share the reads of phases 1 to 3 and the write of phase 4, which commits all
// moves of the batch or none. Each member's decision sees the counters as the members
// before it leave them. A batch repeats its decisions after a stale write and after
// claims (see below), so a decision is a pure function of the event, the hold and the
// time.
//
// In phase 5, one write brings the documents of all holds of a batch to their new states, and
// another one copies its log entries at the same time. New holds, and tombstones, are inserted
// by a write of their own. The members whose holds were released then give their limit entries
// back. If the batch sold or released only one hold, its member does all of this itself. The
// next batch does not wait for phase 5. If it moves one of the same holds, its phase 3 finishes
// what is left.
//
// Batches of several processes race as single moves do; the compare-and-set decides.
//
// # The limit for each user
//
// An event may limit how many tickets each user has. For each event and user, a document
// {used, by: {<hold>: quantity}, version, claimedAt, purgeAt} counts the tickets. It has
// an entry for each of the user's holds that counts toward the limit.
//
// In phase 4, a reserve that is about to take seats claims an entry before the event is
// written. A claim is one conditional update of the document. The claims of a batch run
// concurrently, each in the context of its own request. The batch then decides again: if
// a claim was denied, the seats of that member are free for the members behind it.
//
// An entry is given back only after its hold was released. If the event refuses a reserve
// after its claim, the reserve therefore writes a tombstone first. Otherwise a duplicate
// request could reserve the hold without an entry, for example:
//
//	A: claims an entry for h; the write of the event is stale
//	A: reads the event again; it is sold out, so A is refused
//	C: releases other seats of the event
//	B: (a duplicate of A) reads the event and claims; h has an entry already
//	A: gives the entry back
//	B: writes the event: h is held, but does not count toward the limit
//
// With the tombstone, which A writes before it gives the entry back, the write of B is
// stale.
//
// A crash may leave behind an entry whose hold does not count toward the limit: the hold
// was released, does not exist, or was reserved while the event had no limit. Each claim
// therefore stamps the document with its time (claimedAt), unless the document is stamped
// already. A sweep checks documents with old stamps and gives such entries back. If the
// hold does not exist, the sweep writes a tombstone first. When it finds no such entry, it
// clears the stamp.
//
// The limit covers only holds that were reserved after it was set.
//
// The store may drop a limit whose last entry was given back limitPurgeAfter ago; the next
// claim then starts a new one, with a new version and a new stamp. The sweep clears a
// stamp by compare-and-set on both, so it never mistakes the new document for the old one.
//
// # Liveness
//
// A crash may leave a hold without a booking. The fact booking.created links a hold to
// its booking. A sweep asks the booking app about a hold in the state held in two cases:
// no booking was linked to it within HoldSettleAfter, or its booking should have expired
// at least HoldSettleAfter ago. The booking app answers live or dead. Before it answers
// dead, it makes the booking impossible; the sweep then releases the hold. The sweep also
// finishes the steps of old marks, and copies old log entries.
//
// A process remembers new links until its next sweep, which writes many of them at once.
// If the process is killed before that, a sweep asks about their holds unnecessarily.
//
// The booking app's other facts sell or release holds. The state of the hold serves as
// the inbox: a duplicate fact finds that the hold has reached its state already, and
// changes nothing.
//
// # Search
//
// A search compares normalized words (see splitWords). The store keeps the words of each
// event and finds the events that have a word with a given prefix, at most maxCandidates
// of them in one search. The use case compares the other words of the term and ranks the
// candidates in memory, so the work of a search is bounded, whatever the term and however
// many events match. SearchEvents says which matches it may miss for that reason.
//
// # Reconciliation
//
// Counters, holds and bookings should never differ for longer than a sweep takes. An hourly
// job checks that: it compares all events in turn, in the order of their identities. The booking app
// lists the live bookings of an event.
//
// Counters and holds are compared at one seats.version. The event is read, the steps of its
// marks are finished, and the holds are read. If the version is still the same afterwards, a
// difference is certain; otherwise the counters are not compared this time. Holds and bookings
// are in two databases, so a difference may be work in flight. Holds that moved within
// HoldSettleAfter are not compared, and a difference counts only if a second comparison, at
// least HoldSettleAfter later, finds it again.
//
// Drift is reported, and mended only on request. A mend settles holds as the sweep does. It
// writes the counters that the holds add up to by compare-and-set on the version that was read
// before the holds, together with the log entry that makes the log add up as well.
//
// # Cost
//
// Without contention, each use case runs this many store operations one after another.
// All members of a batch share the reads, the write of the event, and the update or the insert
// of their holds. Claims and returns of limit entries are one operation for each hold. The insert
// of a batch's log entries is not in the table, because it runs beside the last operations:
// the insert or the updates of the holds.
//
//	reserve                       4: event, hold, event (write), hold (insert)
//	reserve under a limit         5: the claim in addition
//	reserve of a sold-out event   2; 3 under a limit
//	repeated reserve              2
//	release, sell                 4; 5 for a release under a limit
//	repeated release or sell      2
//
// The releases of one request are a batch: 32 of them share the two reads and the write of
// the event, and the update of their holds. A fact about a hold that the same process has just
// released costs no operation. Any other fact that moves seats reads the event and the hold.
// Only if the hold has not moved yet, it also asks the booking app about the hold, and then
// costs a release or a sale.
package event
