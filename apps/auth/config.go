package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings are the environment variables of auth, in addition to those of all apps.
type settings struct {
	MongoURI      config.Secret `env:"MONGO_URI,required"` // may contain a password
	Database      string        `env:"MONGO_DATABASE" default:"auth"`
	RedisAddr     config.Secret `env:"REDIS_ADDR,required"`
	RedisPassword config.Secret `env:"REDIS_PASSWORD"`

	// AccessTokenTTL is the lifetime of an access token.
	AccessTokenTTL time.Duration `env:"ACCESS_TOKEN_TTL" default:"15m" min:"1s"`
	// SessionTTL is the lifetime of a session from the log-in or the last refresh.
	SessionTTL time.Duration `env:"SESSION_TTL" default:"168h" min:"1s"`

	// AdminEmail and AdminPassword are the credentials of the first admin. The account
	// is created at startup if no account has the address.
	AdminEmail    string        `env:"ADMIN_EMAIL,required"`
	AdminPassword config.Secret `env:"ADMIN_PASSWORD,required" min:"8"`

	// HashQueue limits the number of requests that wait for a password to be hashed.
	// Further requests are refused. The requests being hashed, one for each core, do
	// not count. One client address may have a quarter of all: with the default, as many
	// as the default of RATE_LIMIT_LOGIN lets it send at once.
	HashQueue int `env:"HASH_QUEUE" default:"128" min:"1"`

	// SessionCacheKey is the secret that authenticates the cached sessions and users. It
	// must be the gateway's.
	SessionCacheKey config.Secret `env:"SESSION_CACHE_KEY,required" min:"32"`
}

// Names of Dapr components, and of the secret that contains the signing keys.
const (
	stateStore  = "statestore"
	lockStore   = "lock"
	secretStore = "secrets"

	signingKey = "token-signing-key"
)
