package event

import (
	"context"
	"time"

	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// Events stores events, each as one document that includes its outbox. Every method is a
// read or one conditional write of one document, except DropFacts, which is both. The
// store may drop a deleted event from Event.PurgeAt on, once all facts in its outbox have
// been published.
type Events interface {
	// InsertEvent stores a new event and its fact. It returns ErrExists if the id is
	// taken, and ErrNameTaken if another event has the same Identity.
	InsertEvent(ctx context.Context, e Event, fact Fact) error
	// GetEvent returns an event, even a deleted one. It returns ErrNoEvent if there is
	// none.
	GetEvent(ctx context.Context, id string) (Event, error)
	// WriteSeats writes the seats by compare-and-set on seats.version, and leaves the
	// definition as it is. It returns ErrStale if the version differs or there is no
	// event.
	WriteSeats(ctx context.Context, w SeatsWrite) error
	// WriteDefinition stores all of e except its marks and its opening entry, and adds facts
	// to the outbox. It
	// is a compare-and-set: the stored event must have the given version, and its
	// seats.version must be e.Seats.Version. The write raises seats.version by one.
	// WriteDefinition returns ErrStale if either version differs or there is no event, and
	// ErrNameTaken as InsertEvent does.
	//
	// The outbox of a draft or published event holds at most MaxFacts facts. If the new
	// ones do not fit, the store first drops the oldest published ones, and may then return
	// ErrStale. If unpublished facts leave no room, it returns ErrOutboxFull.
	WriteDefinition(ctx context.Context, e Event, version int64, facts ...Fact) error
	// WriteOpening sets the opening entry of an event's capacity log by compare-and-set on
	// its version: the stored one must have the given Through. It does not concern the
	// seats, and leaves seats.version as it is. It returns ErrStale if Through differs or
	// there is no event.
	WriteOpening(ctx context.Context, eventID string, through int64, next Opening) error
	// DropFacts removes all facts of a type from an event's outbox, published or not. It
	// returns ErrNoEvent if there is no event. It returns ErrStale if the outbox changed
	// while it ran; nothing has happened then.
	DropFacts(ctx context.Context, id, kind string) error
}

// Catalogue finds events.
type Catalogue interface {
	// ListEvents returns up to q.Limit events that match q, in its order, starting after
	// its position. It never returns deleted events.
	ListEvents(ctx context.Context, q Query) ([]Event, error)
	// FindIdentity returns the id of the event with this Identity. It returns ErrNoEvent if
	// there is none.
	FindIdentity(ctx context.Context, identity string) (id string, err error)
	// SearchEvents returns up to q.Limit candidates that match q. Candidates whose words
	// equal the prefix come first, and among those the ones that have the word in a more
	// important Field, then those that start earlier.
	SearchEvents(ctx context.Context, q SearchQuery) ([]Candidate, error)
	// GetEvents returns the events that exist, by id, without their marks. It may return
	// deleted events.
	GetEvents(ctx context.Context, ids []string) (map[string]Event, error)
	// MarkedEvents returns the ids of up to limit events that have a mark whose MovedAt is
	// before the given time.
	MarkedEvents(ctx context.Context, before time.Time, limit int) ([]string, error)
	// UnloggedEvents returns the ids of up to limit events that have a log entry whose At is
	// before the given time.
	UnloggedEvents(ctx context.Context, before time.Time, limit int) ([]string, error)
	// UnfinishedCancellations returns the ids of up to limit cancelled events that have
	// committed seats and no unpublished facts, in ascending order of seats.version.
	UnfinishedCancellations(ctx context.Context, limit int) ([]string, error)
	// EventIDs returns the ids of up to limit events in ascending order of their Identity,
	// starting after the given one. It never returns those of deleted events.
	EventIDs(ctx context.Context, after string, limit int) ([]Identified, error)
	// EndedUnsold returns the ids of up to limit events that ended before the given time
	// and never sold a ticket. It never returns deleted events.
	EndedUnsold(ctx context.Context, before time.Time, limit int) ([]string, error)
}

// Identified is the id and the Identity of an event.
type Identified struct{ ID, Identity string }

// Holds stores holds, each as one document. The state of a hold only moves forward. The
// store may drop a released hold from Hold.PurgeAt on.
type Holds interface {
	// GetHolds returns the holds that exist, by id. The ids must be distinct.
	GetHolds(ctx context.Context, ids []string) (map[string]Hold, error)
	// InsertHolds stores new holds with distinct ids, independently of each other. It
	// leaves a hold whose id is taken as it is.
	InsertHolds(ctx context.Context, holds []Hold) error
	// MoveHolds sets the states and MovedAt of holds with distinct ids, independently of each
	// other, and clears SettleAt. It leaves a hold that has reached that state or a later one
	// as it is. It returns the ids of holds that do not exist.
	MoveHolds(ctx context.Context, holds []Hold) (missing map[string]bool, err error)
	// PostponeSettle sets SettleAt of holds, by id. It ignores holds that are not held or
	// do not exist.
	PostponeSettle(ctx context.Context, at map[string]time.Time) error
	// ClaimHolds sets SettleAt of holds to until, which becomes the identity of the claim, and
	// returns the claimed holds as they are stored then. It does not claim a hold whose
	// SettleAt differs from the stored one.
	ClaimHolds(ctx context.Context, holds []Hold, until time.Time) ([]Hold, error)
	// CountedHolds returns up to limit held or sold holds of an event, in the order of their
	// ids, starting after the given id.
	CountedHolds(ctx context.Context, eventID, after string, limit int) ([]Hold, error)
	// HoldsToSettle returns up to limit holds whose SettleAt is not after now, in the
	// order of SettleAt.
	HoldsToSettle(ctx context.Context, now time.Time, limit int) ([]Hold, error)
}

// Limits stores how many tickets of limited events each user has, in one document for
// each event and user. The store may drop a limit from Limit.PurgeAt on.
type Limits interface {
	// GetLimit returns a limit. If there is none, it returns a zero Limit with the key.
	GetLimit(ctx context.Context, key LimitKey) (Limit, error)
	// Claim adds an entry if the sum of all entries, including the new one, is at most
	// c.Max. It then also raises the version, and stamps the document unless it is stamped
	// already, and clears PurgeAt. If the hold has an entry already, Claim changes nothing. Limit.WithClaim
	// defines the results.
	Claim(ctx context.Context, c Claim) (ClaimResult, error)
	// GiveBack removes the entry of a hold, subtracts its quantity from used, and raises
	// the version. It does not do so if there is no entry with this quantity. If no entry
	// is left, it sets PurgeAt, unless it is set already. If GiveBack fails, it may have
	// done only a part of this; it must be repeated then.
	GiveBack(ctx context.Context, key LimitKey, holdID string, quantity int64, purgeAt time.Time) error
	// ClearStamp removes the stamp by compare-and-set on l.Version and l.ClaimedAt. It
	// returns ErrStale if either differs. The version alone is not enough, because it
	// starts again after the store has dropped a limit.
	ClearStamp(ctx context.Context, l Limit) error
	// ClaimLimits replaces the stamps of limits by at, which becomes the identity of the claim,
	// and returns the claimed limits as they are stored then. It does not claim a limit whose
	// Version or ClaimedAt differs from the stored one.
	ClaimLimits(ctx context.Context, limits []Limit, at time.Time) ([]Limit, error)
	// StampedLimits returns the Limits whose documents were stamped before the given time,
	// in the order of their stamps. It returns at most limit of them.
	StampedLimits(ctx context.Context, before time.Time, limit int) ([]Limit, error)
}

// Cache keeps copies of public events. It may lose any of them at any time. Its methods
// give up within a fraction of a second.
type Cache interface {
	// PutEvent stores a copy that expires after ttl.
	PutEvent(ctx context.Context, e eventapi.Versioned, ttl time.Duration) error
	// GetEvent returns the copy of an event. It returns ErrNoEvent if there is none.
	GetEvent(ctx context.Context, id string) (eventapi.Versioned, error)
	// DropEvent removes the copy of an event, if there is one.
	DropEvent(ctx context.Context, id string) error
}

// CapacityLog stores the entries of the capacity logs, each as one document. The entries of
// an event that have left it, and were not folded yet, are here.
type CapacityLog interface {
	// InsertEntries adds entries to the log of an event, independently of each other. It
	// leaves an entry that exists as it is.
	InsertEntries(ctx context.Context, eventID string, entries []Entry) error
	// ListEntries returns up to q.Limit entries that match q, in descending order.
	ListEntries(ctx context.Context, q EntryQuery) ([]Entry, error)
	// OldestEntries returns up to limit entries of an event whose version is greater than
	// after, in ascending order.
	OldestEntries(ctx context.Context, eventID string, after int64, limit int) ([]Entry, error)
	// OldLogs returns the ids of events that have entries whose At is before the given time.
	// It looks at no more than the oldest limit entries of all events.
	OldLogs(ctx context.Context, before time.Time, limit int) ([]string, error)
	// DeleteEntries deletes up to limit entries of an event whose version is at most through,
	// and returns how many it found.
	DeleteEntries(ctx context.Context, eventID string, through int64, limit int) (int, error)
}

// Bookings asks the booking app about bookings.
type Bookings interface {
	// SettleHolds reports for each of up to bookingapi.MaxSettles holds whether it belongs to
	// a live booking. If it does not, the booking app guarantees that it never will. The
	// results are in the order of the ids.
	SettleHolds(ctx context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error)
	// ReconcileBookings returns a page of the live bookings of an event; see
	// bookingapi.ReconcileBookings.
	ReconcileBookings(ctx context.Context, req bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error)
}

// Compared is the outcome of one comparison of an event's counters, holds and bookings.
type Compared string

// The values of Compared.
const (
	ComparedAll     Compared = "complete"
	ComparedInPart  Compared = "incomplete" // too many holds or bookings, or seats moved meanwhile
	ComparedNothing Compared = "failed"     // a read failed
)

// Drifts tells an operator about the differences that reconciliations find. It also counts
// comparisons, so that no differences and no reconciliation look different.
type Drifts interface {
	// CountComparison counts a comparison.
	CountComparison(ctx context.Context, outcome Compared)
	// ReportDrift reports the differences of r, and what was mended.
	ReportDrift(ctx context.Context, r eventapi.Reconciliation)
}

// Observer receives figures about sweeps.
type Observer interface {
	// ObserveBacklog reports for how long the oldest item of a kind has been due, each time a
	// sweep looks for due items. The zero age means that nothing was due.
	ObserveBacklog(ctx context.Context, kind string, age time.Duration)
}

// Batcher coalesces concurrent moves of one event's seats. Batching only saves work, so
// a Batcher may also run every move by itself.
type Batcher interface {
	// Do returns once work has run for all members. One run of work may include members of
	// concurrent calls for the same event, but never two members with the same hold. Do
	// returns ctx.Err() if ctx ended before the members were in a batch; nothing has
	// happened then. After any other error the result is unknown.
	Do(ctx context.Context, eventID string, work coalesce.Work[*Member], members ...*Member) error
}

// Locker keeps processes from doing the same work concurrently. The locks only save
// work; nothing depends on them.
type Locker interface {
	// Lock waits for a short time for the lock, and returns even if it did not get it. The
	// caller must call unlock when it is done.
	Lock(ctx context.Context, name string) (unlock func())
}

// Clock returns the current time.
type Clock interface{ Now() time.Time }

// IDs returns new ids that cannot be guessed.
type IDs interface{ NewID() string }
