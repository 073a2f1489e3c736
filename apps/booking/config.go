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
}

// lockStore is the name of the Dapr component that provides locks.
const lockStore = "lock"
