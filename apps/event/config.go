package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings are the event app's own environment variables, in addition to those of every
// app.
type settings struct {
	MongoURI config.Secret `env:"MONGO_URI,required"` // may contain a password
	Database string        `env:"MONGO_DATABASE" default:"event"`

	// HoldSettleAfter is how long a hold may wait to be linked to its booking before a
	// sweep asks the booking app about it.
	HoldSettleAfter time.Duration `env:"HOLD_SETTLE_AFTER" default:"1m" min:"1s"`
}

// The names of the Dapr components that only this app uses.
const (
	lockStore = "lock"
	cleanup   = "cleanup"
)
