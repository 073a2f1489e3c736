package event

import (
	"context"
	"time"

	"boxoffice/shared/contract/bookingapi"
)

// Events keeps events, one document each with its outbox in it. Every method is
// one conditional operation on one document, or a read. A deleted event may be
// dropped when all of its outbox is sent.
type Events interface {
	// InsertEvent stores a new event and its fact. It returns ErrExists when the id
	// is taken, ErrNameTaken when another event has its Identity.
	InsertEvent(ctx context.Context, e Event, fact Fact) error
	// GetEvent returns an event, a deleted one too, or ErrNoEvent.
	GetEvent(ctx context.Context, id string) (Event, error)
	// WriteSeats does a compare-and-set on seats.version. It returns ErrStale when
	// another version is there, or no event. The definition stays as it is.
	WriteSeats(ctx context.Context, w SeatsWrite) error
	// WriteDefinition stores all of e but its marks, where the event's version is
	// still version and seats.version is still e.Seats.Version, which it raises by
	// one; facts are added to the outbox in the same write. It returns ErrStale
	// when other versions are there, ErrNameTaken as InsertEvent does.
	WriteDefinition(ctx context.Context, e Event, version int64, facts ...Fact) error
	// DropFacts takes all facts of a type out of an event's outbox, published or
	// not. It returns ErrNoEvent when there is none, and ErrStale when the outbox
	// changed meanwhile; nothing has happened then.
	DropFacts(ctx context.Context, id, kind string) error
}

// Catalogue finds events.
type Catalogue interface {
	// ListEvents returns the events that match, in the query's order, at most
	// Limit, from after its position on. Deleted ones never match.
	ListEvents(ctx context.Context, q Query) ([]Event, error)
	// MarkedEvents returns ids of events that have a mark of a move before a time,
	// at most limit.
	MarkedEvents(ctx context.Context, before time.Time, limit int) ([]string, error)
	// UnfinishedCancellations returns ids of cancelled events with seats held or
	// sold whose facts have all been published, those first whose seats' version is
	// lowest, at most limit.
	UnfinishedCancellations(ctx context.Context, limit int) ([]string, error)
	// EndedUnsold returns ids of events that ended before a time and were never
	// sold, at most limit.
	EndedUnsold(ctx context.Context, before time.Time, limit int) ([]string, error)
}

// Holds keeps holds, one document each. A hold goes only forward. Released ones
// may be dropped from Hold.PurgeAt on.
type Holds interface {
	// GetHolds returns those that there are, by id. The ids are different ones.
	GetHolds(ctx context.Context, ids []string) (map[string]Hold, error)
	// InsertHolds stores new holds, of different ids, each by itself. One whose id
	// is taken stays as it is.
	InsertHolds(ctx context.Context, holds []Hold) error
	// MoveHold brings a hold to h.State at h.MovedAt, and takes its SettleAt off.
	// When it is there or beyond already, nothing happens. It returns ErrNoHold
	// when there is none.
	MoveHold(ctx context.Context, h Hold) error
	// PostponeSettle sets SettleAt of holds that are still held, by id; of any other, or
	// none, it changes nothing.
	PostponeSettle(ctx context.Context, at map[string]time.Time) error
	// HoldsToSettle returns holds whose SettleAt has come, the longest due first,
	// at most limit.
	HoldsToSettle(ctx context.Context, now time.Time, limit int) ([]Hold, error)
}

// Limits keeps what users hold of limited events, one document for each event
// and user.
type Limits interface {
	// GetLimit returns a document; a zero Limit with its key when there is none.
	GetLimit(ctx context.Context, key LimitKey) (Limit, error)
	// Claim adds an entry if it then holds used <= c.Max, and stamps the document
	// unless it is stamped already; it raises the version. An entry of the hold
	// that is there is left as it is, and passes while used <= c.Max.
	Claim(ctx context.Context, c Claim) (ClaimResult, error)
	// GiveBack removes the entry of a hold, if it is there with that quantity, and
	// what it counted; it raises the version then.
	GiveBack(ctx context.Context, key LimitKey, holdID string, quantity int64) error
	// ClearStamp takes the stamp off where the version is still l.Version. It returns
	// ErrStale when it is not.
	ClearStamp(ctx context.Context, l Limit) error
	// StampedLimits returns documents stamped before a time, the oldest first, at
	// most limit.
	StampedLimits(ctx context.Context, before time.Time, limit int) ([]Limit, error)
}

// Bookings asks the booking app.
type Bookings interface {
	// SettleHold says whether a hold stands behind a live booking. When it does not, it
	// never will again.
	SettleHold(ctx context.Context, holdID string) (bookingapi.Settlement, error)
}

// Locker keeps work from being done twice at once. Nothing depends on it.
type Locker interface {
	// Lock tries for a short while and returns, with the lock or without it. The
	// caller calls unlock when it is done.
	Lock(ctx context.Context, name string) (unlock func())
}

// Clock tells the time.
type Clock interface{ Now() time.Time }

// IDs makes ids that nobody can guess.
type IDs interface{ NewID() string }
