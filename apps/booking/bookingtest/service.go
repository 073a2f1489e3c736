package bookingtest

import (
	"context"
	"time"

	"boxoffice/apps/booking/internal/booking"
)

// The use cases, for tests of several apps together: these cannot import what is
// internal to one.
type (
	Service = booking.Service
	Booking = booking.Booking
)

// KeyedID is the id of the booking that a user makes under an idempotency key.
func KeyedID(userID, key string) string { return booking.KeyedID(userID, key) }

// Env is what a Service of a test stands on.
type Env struct {
	Store         *Store
	Seats         booking.Seats
	Events        booking.Events
	Clock         booking.Clock
	IDs           booking.IDs
	TTL           time.Duration
	MaxPerBooking int64
}

// NewService returns the use cases over a store, without locks.
func NewService(env Env) *Service {
	return booking.New(booking.Config{
		Store: env.Store, Finder: env.Store, Seats: env.Seats, Events: env.Events, Locks: NoLocks{},
		Clock: env.Clock, IDs: env.IDs, TTL: env.TTL, MaxPerBooking: env.MaxPerBooking,
	})
}

// Unlocked is a Locker that never has a lock to give.
type NoLocks struct{}

// Lock implements booking.Locker.
func (NoLocks) Lock(context.Context, string) (unlock func()) { return func() {} }
