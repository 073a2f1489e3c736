package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings is what the event app reads from the environment, besides what all
// programs do.
type settings struct {
	MongoURI config.Secret `env:"MONGO_URI,required"` // it may hold a password
	Database string        `env:"MONGO_DATABASE" default:"event"`

	// HoldSettleAfter is after how long a hold that nobody has heard of is asked
	// about.
	HoldSettleAfter time.Duration `env:"HOLD_SETTLE_AFTER" default:"1m" min:"1s"`
}

// Names of the components that this program uses.
const (
	lockStore = "lock"
	cleanup   = "cleanup"
)
