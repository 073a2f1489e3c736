package booking

import (
	"context"
	"time"

	"boxoffice/shared/contract/eventapi"
)

// Store keeps booking records, one document each with its outbox in it. Every
// method is one conditional operation on one document, or a read. A refused
// record may be dropped from Booking.PurgeAt on.
type Store interface {
	// InsertBooking stores a new record and its facts. It returns ErrExists when
	// the id is taken.
	InsertBooking(ctx context.Context, b Booking, facts ...Fact) error
	// GetBooking returns a record, a refused one too, or ErrNoBooking.
	GetBooking(ctx context.Context, id string) (Booking, error)
	// ReplaceBooking stores b where the record still has that state and n, and adds
	// facts to the outbox in the same write. It returns ErrStale when it has not.
	ReplaceBooking(ctx context.Context, b Booking, state State, n int64, facts ...Fact) error
}

// Finder finds bookings. Refused records are never found.
type Finder interface {
	// ListBookings returns the bookings that match, newest first and among those of
	// one moment by id backwards, at most Limit, from after its position on.
	ListBookings(ctx context.Context, q Query) ([]Booking, error)
	// CountBookings returns how many match, regardless of position and limit.
	CountBookings(ctx context.Context, q Query) (int64, error)
	// DueBookings returns pending bookings whose expiry has come, the longest due
	// first, at most limit; of all events when eventID is empty.
	DueBookings(ctx context.Context, eventID string, now time.Time, limit int) ([]Booking, error)
	// LiveBookings returns bookings of an event that are pending or confirmed, in
	// the order of ids after the id after, at most limit.
	LiveBookings(ctx context.Context, eventID, after string, limit int) ([]Booking, error)
}

// Seats asks the event app for seats.
type Seats interface {
	// ReserveSeats is eventapi.ReserveSeats. A refusal is an *apperr.Error of the same reason;
	// any other error leaves open whether the hold was taken.
	ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error)
	// ReleaseSeats is eventapi.ReleaseSeats. It should give up after a short while: facts and
	// sweeps do the same later.
	ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) error
}

// Events asks the event app about an event.
type Events interface {
	// GetEvent is eventapi.GetEvent, as an admin.
	GetEvent(ctx context.Context, eventID string) (eventapi.Event, error)
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
