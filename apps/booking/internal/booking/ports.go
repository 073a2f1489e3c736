package booking

import (
	"context"
	"time"

	"boxoffice/shared/contract/eventapi"
)

// Store keeps booking records. A record and its outbox are one document, and every
// method either reads one document or writes one document conditionally. The store may
// delete a refused record after its Booking.PurgeAt.
type Store interface {
	// InsertBooking stores a new record with its facts. It returns ErrExists if a
	// record with this id exists, in any state.
	InsertBooking(ctx context.Context, b Booking, facts ...Fact) error

	// GetBooking returns the record with this id, including a refused one. It returns
	// ErrNoBooking if there is none.
	GetBooking(ctx context.Context, id string) (Booking, error)

	// ReplaceBooking is a compare-and-set: it stores b and appends facts to the outbox
	// if the stored record still has this state and hold number. Otherwise it changes
	// nothing and returns ErrStale.
	ReplaceBooking(ctx context.Context, b Booking, state State, holdNumber int64, facts ...Fact) error

	// ReplaceBookings is ReplaceBooking for bookings with distinct ids, independently of each
	// other. It returns the error of each change, in their order. If another process has
	// stored the very same booking, it may return nil instead of ErrStale.
	ReplaceBookings(ctx context.Context, changes []Change) []error

	// ClaimObligations sets DischargeAt of bookings to until, which becomes the identity of
	// the claim, and returns the claimed bookings as they are stored then. It does not claim
	// a booking whose Revision or DischargeAt differs from the stored one.
	ClaimObligations(ctx context.Context, bookings []Booking, until time.Time) ([]Booking, error)

	// StoreObligations sets Owes and DischargeAt of bookings to the given ones. It ignores
	// bookings whose Revision differs from the stored one.
	StoreObligations(ctx context.Context, bookings []Booking) error
}

// Change is the argument list of one ReplaceBooking.
type Change struct {
	Booking    Booking
	State      State
	HoldNumber int64
	Facts      []Fact
}

// Finder queries bookings. It never returns or counts refused records.
type Finder interface {
	// ListBookings returns at most q.Limit matching bookings that follow q.After. The
	// order is descending by CreatedAt and then by ID.
	ListBookings(ctx context.Context, q Query) ([]Booking, error)

	// CountBookings returns the number of matching bookings, but counts only up to q.Limit.
	// It ignores q.After.
	CountBookings(ctx context.Context, q Query) (int64, error)

	// DueBookings returns at most limit pending bookings with ExpiresAt <= now, in
	// ascending order of ExpiresAt. An empty eventID means all events.
	DueBookings(ctx context.Context, eventID string, now time.Time, limit int) ([]Booking, error)

	// OwingBookings returns at most limit bookings with DischargeAt <= now, in ascending order
	// of DischargeAt. It never returns bookings without a DischargeAt.
	OwingBookings(ctx context.Context, now time.Time, limit int) ([]Booking, error)

	// CountPendingTickets returns the number of tickets in the pending bookings of a user
	// that expire after now. If there are more than most, it may return any number that is
	// greater than most. It may count less if another user has more than most.
	CountPendingTickets(ctx context.Context, userID string, now time.Time, most int64) (int64, error)

	// LiveBookings returns at most limit pending or confirmed bookings of the event
	// with ID > after, in ascending order of ID.
	LiveBookings(ctx context.Context, eventID, after string, limit int) ([]Booking, error)
}

// Seats reserves, releases and sells seats in the event app. All operations are
// idempotent: repeating one for the same hold id has no further effect.
type Seats interface {
	// ReserveSeats calls eventapi.ReserveSeats. If apperr.VerdictOf reports the error
	// as Refused, no seats were reserved. After any other error they may have been.
	ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error)

	// ReleaseSeats calls eventapi.ReleaseSeats for 1 to eventapi.MaxReserves distinct holds
	// of one event. It returns the error of each release, in the order of the requests.
	// Implementations should give up after a short time, because the event app also
	// releases seats when it receives the facts.
	ReleaseSeats(ctx context.Context, reqs []eventapi.ReleaseRequest) []error

	// SellSeats calls eventapi.SellSeats, as ReleaseSeats does eventapi.ReleaseSeats.
	SellSeats(ctx context.Context, reqs []eventapi.SellRequest) []error
}

// Observer receives figures about sweeps.
type Observer interface {
	// ObserveBacklog reports for how long the oldest item of a kind has been due, each time a
	// sweep looks for due items. The zero age means that nothing was due.
	ObserveBacklog(ctx context.Context, kind string, age time.Duration)
}

// Events reads events from the event app.
type Events interface {
	// GetEvent calls eventapi.GetEvent as an admin.
	GetEvent(ctx context.Context, eventID string) (eventapi.Event, error)
}

// Cancellations stores jobs, one for each cancelled event. Every write is conditional and
// writes one document. The store may delete a job after its Cancellation.PurgeAt.
type Cancellations interface {
	// InsertCancellation stores a new job, whose version must be 1. It returns ErrExists if
	// the event has a job.
	InsertCancellation(ctx context.Context, c Cancellation) error

	// GetCancellation returns the job of an event, or ErrNoCancellation if there is none.
	GetCancellation(ctx context.Context, eventID string) (Cancellation, error)

	// ReplaceCancellation is a compare-and-set: it stores c with the version c.Version+1
	// if the stored version is c.Version. Otherwise it changes nothing and returns
	// ErrStale.
	ReplaceCancellation(ctx context.Context, c Cancellation) error

	// DueCancellations returns at most limit jobs with Due <= now, in ascending order of
	// Due. It never returns jobs that are done.
	DueCancellations(ctx context.Context, now time.Time, limit int) ([]Cancellation, error)
}

// Publisher publishes the facts in the outboxes of bookings.
type Publisher interface {
	// PublishFacts publishes the facts of bookings and returns when the bus has them. If it
	// returns an error, some of them are not published yet. They stay in their outboxes,
	// and a sweep publishes them.
	PublishFacts(ctx context.Context, bookingIDs []string) error
}

// Pacer limits how fast bookings are cancelled with their events.
type Pacer interface {
	// Wait waits for the time that n more bookings take. It returns ctx.Err() if ctx ends
	// first.
	Wait(ctx context.Context, n int) error
}

// Locker provides advisory locks that keep processes from repeating each other's
// work. Correctness does not depend on them.
type Locker interface {
	// Lock waits a short time for the named lock and returns with or without it. The
	// caller must call unlock in both cases.
	Lock(ctx context.Context, name string) (unlock func())
}

// Clock returns the current time.
type Clock interface{ Now() time.Time }

// IDs generates unique ids that cannot be guessed.
type IDs interface{ NewID() string }
