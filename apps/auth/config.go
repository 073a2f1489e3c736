package main

import (
	"time"

	"boxoffice/shared/config"
)

// settings is what auth reads from the environment, besides what all programs do.
type settings struct {
	MongoURI  config.Secret `env:"MONGO_URI,required"` // it may hold a password
	Database  string        `env:"MONGO_DATABASE" default:"auth"`
	RedisAddr config.Secret `env:"REDIS_ADDR,required"`

	// AccessTokenTTL is how long an access token is good for.
	AccessTokenTTL time.Duration `env:"ACCESS_TOKEN_TTL" default:"15m" min:"1s"`
	// SessionTTL is how long a session lives without a refresh.
	SessionTTL time.Duration `env:"SESSION_TTL" default:"168h" min:"1s"`

	// AdminEmail and AdminPassword are the first admin, made if absent.
	AdminEmail    string        `env:"ADMIN_EMAIL,required"`
	AdminPassword config.Secret `env:"ADMIN_PASSWORD,required" min:"8"`

	// HashQueue is how many log-ins may wait for their password to be hashed;
	// more are turned away. As many as cores are at work.
	HashQueue int `env:"HASH_QUEUE" default:"64" min:"1"`
}

// Names of the components that this program uses.
const (
	stateStore  = "statestore"
	lockStore   = "lock"
	secretStore = "secrets"

	signingKey = "token-signing-key"
)
