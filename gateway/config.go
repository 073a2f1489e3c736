package main

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is the part of the environment that only the gateway reads. Every program
// also reads app.Config.
type Config struct {
	RedisAddr string `env:"REDIS_ADDR,required"`

	// Proxies are the networks of proxies whose X-Forwarded-For and
	// X-Forwarded-Proto headers are trusted.
	Proxies []netip.Prefix `env:"TRUSTED_PROXIES"`

	Browse Rate `env:"RATE_LIMIT_BROWSE" default:"600/1m"` // GET and HEAD
	Write  Rate `env:"RATE_LIMIT_WRITE" default:"120/1m"`  // every other request
	LogIn  Rate `env:"RATE_LIMIT_LOGIN" default:"30/1m"`   // register and log-in

	// Refusals limits the creates of bookings that a user may have refused. Further
	// creates of the user get 429 until some of them are forgotten.
	Refusals Rate `env:"RATE_LIMIT_REFUSALS" default:"60/1m"`

	// ReadCacheBytes limits the memory of the cache of public reads, in bytes. Zero
	// turns the cache off.
	ReadCacheBytes int64 `env:"READ_CACHE_BYTES" default:"33554432" min:"0"`

	// StreamsPerAddress is the number of availability streams that one client address
	// may have open. An IPv6 address counts as its /64.
	StreamsPerAddress int `env:"STREAMS_PER_ADDRESS" default:"10" min:"1"`
}

// Rate is the number of requests that a user or a client address may send in a
// period. The zero Rate means no limit.
type Rate struct {
	Requests int
	Period   time.Duration
}

// UnmarshalText parses a rate such as "600/1m", which means 600 requests per minute.
// The text "off" means no limit.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{}
		return nil
	}
	requests, period, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(requests)
	d, err2 := time.ParseDuration(period)
	if err != nil || err2 != nil || n < 1 || d < time.Millisecond {
		return errors.New("must be requests/period, for example 600/1m, or off")
	}
	*r = Rate{Requests: n, Period: d}
	return nil
}

// withPortFallback returns a getenv that reads GATEWAY_PORT if APP_PORT is not set. Only
// Dapr's own launchers set APP_PORT.
func withPortFallback(getenv func(string) string) func(string) string {
	return func(name string) string {
		value := getenv(name)
		if name == "APP_PORT" && value == "" {
			return getenv("GATEWAY_PORT")
		}
		return value
	}
}
