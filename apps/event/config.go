package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings are the environment variables of the event app that are not common to all apps.
type settings struct {
	MongoURI config.Secret `env:"MONGO_URI,required"` // may contain a password
	Database string        `env:"MONGO_DATABASE" default:"event"`

	// HoldSettleAfter is how long a hold may stay unlinked to a booking before a sweep asks
	// the booking app about it.
	HoldSettleAfter time.Duration `env:"HOLD_SETTLE_AFTER" default:"1m" min:"1s"`
}

// sweepParallel is the number of pages of one kind of work that a sweep handles at a time.
const sweepParallel = 3

// The names of the app's Dapr components. Package daprpub defines those of the bus.
const (
	lockStore  = "lock"
	cacheStore = "eventcache"
	cleanup    = "cleanup"
)
