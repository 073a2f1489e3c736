package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings is auth's configuration from the environment, besides that of every app.
type settings struct {
	MongoURI  config.Secret `env:"MONGO_URI,required"` // may contain a password
	Database  string        `env:"MONGO_DATABASE" default:"auth"`
	RedisAddr config.Secret `env:"REDIS_ADDR,required"`

	// AccessTokenTTL is the life of an access token.
	AccessTokenTTL time.Duration `env:"ACCESS_TOKEN_TTL" default:"15m" min:"1s"`
	// SessionTTL is the life of a session from the log-in or the last refresh.
	SessionTTL time.Duration `env:"SESSION_TTL" default:"168h" min:"1s"`

	// AdminEmail and AdminPassword are the credentials of the first admin, which is
	// created at the start if its address has no account.
	AdminEmail    string        `env:"ADMIN_EMAIL,required"`
	AdminPassword config.Secret `env:"ADMIN_PASSWORD,required" min:"8"`

	// HashQueue is how many requests may wait for a password to be hashed. Further
	// ones are refused. Besides those that wait, one hash for each core is computed.
	HashQueue int `env:"HASH_QUEUE" default:"64" min:"1"`
}

// Dapr components, and the secret with the signing keys.
const (
	stateStore  = "statestore"
	lockStore   = "lock"
	secretStore = "secrets"

	signingKey = "token-signing-key"
)
