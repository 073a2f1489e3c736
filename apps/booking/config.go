package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings is what booking reads from the environment, besides what all programs
// do.
type settings struct {
	MongoURI config.Secret `env:"MONGO_URI,required"` // it may hold a password
	Database string        `env:"MONGO_DATABASE" default:"booking"`

	// BookingTTL is how long a booking waits to be confirmed.
	BookingTTL time.Duration `env:"BOOKING_TTL" default:"15m" min:"1s"`
	// MaxPerBooking is how many tickets one booking may be for.
	MaxPerBooking int `env:"MAX_PER_BOOKING" default:"10" min:"1"`
}

// Names of the components that this program uses.
const (
	lockStore = "lock"
)
