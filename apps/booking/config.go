package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings are the environment variables of the booking app, in addition to those of
// all apps.
type settings struct {
	MongoURI config.Secret `env:"MONGO_URI,required"` // may contain a password
	Database string        `env:"MONGO_DATABASE" default:"booking"`

	// BookingTTL is the time within which a booking must be confirmed.
	BookingTTL time.Duration `env:"BOOKING_TTL" default:"15m" min:"1s"`
	// MaxPerBooking is the maximum number of tickets in one booking.
	MaxPerBooking int `env:"MAX_PER_BOOKING" default:"10" min:"1"`
	// MaxPendingPerUser is the maximum number of tickets in the pending bookings of a user,
	// over all events. It must be at least MaxPerBooking.
	MaxPendingPerUser ticketLimit `env:"MAX_PENDING_PER_USER" default:"40"`
	// CancellationRate is the maximum number of bookings that a process cancels in a second
	// with their events. It must not exceed the facts that the event app can consume, or
	// the facts of other events would wait behind those of a cancellation.
	CancellationRate int `env:"CANCELLATION_RATE" default:"200" min:"50"`
}

// cancellationParallel is the number of bookings that a job cancels concurrently.
const cancellationParallel = 8

// sweepParallel is the number of pages of one kind of work that a sweep handles at a time.
const sweepParallel = 3

// lockStore is the name of the Dapr component that provides locks.
const lockStore = "lock"
