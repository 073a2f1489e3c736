package main

import (
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/app"
	"boxoffice/shared/sessioncache"
)

// CountVerified returns the number of verified tokens that the keyring remembers.
func (k *Keyring) CountVerified() int { return k.keys.Load().verified.Len() }

// NewSessionCache returns the session cache that the program uses.
func NewSessionCache(a *app.App, client redis.Scripter, key []byte) (*sessioncache.Cache, error) {
	return newSessionCache(a, client, key)
}
