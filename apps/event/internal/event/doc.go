// Package event holds the rules of events and their seats. It knows no store, no
// sidecar and no wire: those are adapters behind the ports of ports.go.
//
// # Who decides
//
// The event's document decides whether seats move, the booking record whether a
// booking is live. No clock here frees a seat, no lock protects one and no
// message is needed for safety.
//
// # Seats
//
// An event has seats {capacity, available, held, sold, version, marks}, and each
// booking that took some has a Hold, a document of its own: held, then sold, then
// released, or held and released. A move of seats is
//
//  1. read the event, at seats.version v;
//  2. then read the hold;
//  3. if the event has a mark of this hold, finish that step first;
//  4. compute, and write the event where seats.version is still v: the counters,
//     a mark that says what the hold is to become, and version v+1;
//  5. write the hold so. The mark goes with some later write of the event.
//
// A miss in 4 starts again at 1, so whoever was stopped anywhere, for however
// long, looks again before anything is counted. A mark says that the counters
// moved and the hold may lag. It carries the whole hold, so anybody can finish
// the step, and it goes only when its step is finished; no step overwrites an
// unfinished one.
//
// A release of an unknown hold marks the event and then inserts the hold as
// released: a tombstone. A reserve of it that was under way misses in 4, and
// finds the tombstone.
//
// A change of the definition that concerns selling, and the deletion, compare and
// raise v too. An event with marks is not deleted. A release that finds the event
// gone still ends its hold and gives the limit back.
//
// # The limit for each user
//
// An event may limit how many tickets a user holds. After the event was read and
// had seats, and before step 4, a reserve claims: one conditional update of the
// document {used, by: {<hold>: quantity}} of event and user. An entry is given
// back only behind a released hold. When the event refuses after the claim, a
// tombstone is written first, as for a release: a twin that saw the entry must
// miss. A claim stamps the document; the sweep settles what a crash left behind
// the stamp in the same way, and takes the stamp off when every entry stands
// behind a counted hold. The limit holds over the holds taken since it was set.
//
// # Liveness
//
// A hold that nobody has heard of for HoldSettleAfter is asked about, and so is
// one that is still held that long after its booking was to lapse. Which were heard
// of a process remembers until its next sweep, which writes that down for all of them
// at once; should it be killed before, somebody asks. The booking app answers live or
// dead, and makes dead true before it says so; then the hold is released. Facts of the bus are effects on holds, and a hold's state is the
// inbox: an effect that is there already, or of another hold, changes nothing.
//
// # What it costs
//
// Round trips to the store when nothing is in the way, shared by the holds of a
// request and by what else moves seats of the event at the same time:
//
//	reserve                  4: event, hold, event (write), hold (insert)
//	reserve under a limit    5: the claim besides
//	reserve, sold out        2; 3 under a limit
//	reserve again            2
//	release, sell            4; 5 for a release under a limit
//	what was done already    2
package event
