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
}

// Finder queries bookings. It never returns or counts refused records.
type Finder interface {
	// ListBookings returns at most q.Limit matching bookings that follow q.After. The
	// order is descending by CreatedAt and then by ID.
	ListBookings(ctx context.Context, q Query) ([]Booking, error)

	// CountBookings returns the number of matching bookings. It ignores q.After and
	// q.Limit.
	CountBookings(ctx context.Context, q Query) (int64, error)

	// DueBookings returns at most limit pending bookings with ExpiresAt <= now, in
	// ascending order of ExpiresAt. An empty eventID means all events.
	DueBookings(ctx context.Context, eventID string, now time.Time, limit int) ([]Booking, error)

	// LiveBookings returns at most limit pending or confirmed bookings of the event
	// with ID > after, in ascending order of ID.
	LiveBookings(ctx context.Context, eventID, after string, limit int) ([]Booking, error)
}

// Seats reserves and releases seats in the event app. Both operations are
// idempotent: repeating one for the same hold id has no further effect.
type Seats interface {
	// ReserveSeats calls eventapi.ReserveSeats. If apperr.VerdictOf reports the error
	// as Refused, no seats were reserved. After any other error they may have been.
	ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error)

	// ReleaseSeats calls eventapi.ReleaseSeats. Implementations should give up after
	// a short time, because the event app also releases seats when it receives the
	// fact.
	ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) error
}

// Events reads events from the event app.
type Events interface {
	// GetEvent calls eventapi.GetEvent as an admin.
	GetEvent(ctx context.Context, eventID string) (eventapi.Event, error)
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
