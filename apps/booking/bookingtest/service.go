package bookingtest

import (
	"context"
	"time"

	"boxoffice/apps/booking/internal/booking"
)

// Aliases for tests outside the booking app, which cannot import its internal
// packages.
type (
	// Service is booking.Service.
	Service = booking.Service
	// Booking is booking.Booking.
	Booking = booking.Booking
	// Obligations is booking.Obligations.
	Obligations = booking.Obligations
)

// KeyedID returns the id of the booking that a user creates with an idempotency
// key.
func KeyedID(userID, key string) string { return booking.KeyedID(userID, key) }

// Env configures NewService. All fields must be set.
type Env struct {
	Store         *Store
	Seats         booking.Seats
	Events        booking.Events
	Clock         booking.Clock
	IDs           booking.IDs
	TTL           time.Duration
	MaxPerBooking int64
}

// NewService returns a Service that uses env and takes no locks.
func NewService(env Env) *Service {
	return booking.New(booking.Config{
		Store: env.Store, Finder: env.Store, Cancellations: CancellationConfig(env.Store), Seats: env.Seats, Events: env.Events, Locks: NoLocks{}, Observer: NoObserver{},
		Clock: env.Clock, IDs: env.IDs, TTL: env.TTL, MaxPerBooking: env.MaxPerBooking, SweepParallel: 1,
	})
}

// NoObserver is a booking.Observer that ignores all figures.
type NoObserver struct{}

// ObserveBacklog implements booking.Observer.
func (NoObserver) ObserveBacklog(context.Context, string, time.Duration) {}

// NoLocks is a booking.Locker that never grants a lock.
type NoLocks struct{}

// Lock implements booking.Locker.
func (NoLocks) Lock(context.Context, string) (unlock func()) { return func() {} }
