package main

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is what the gateway reads from the environment besides what all
// programs read.
type Config struct {
	RedisAddr string `env:"REDIS_ADDR,required"`

	// Proxies are those whose X-Forwarded-For and X-Forwarded-Proto count.
	Proxies []netip.Prefix `env:"TRUSTED_PROXIES"`

	Browse Rate `env:"RATE_LIMIT_BROWSE" default:"600/1m"` // GET and HEAD
	Write  Rate `env:"RATE_LIMIT_WRITE" default:"120/1m"`  // every other request
	LogIn  Rate `env:"RATE_LIMIT_LOGIN" default:"30/1m"`   // register and log-in
}

// Rate is how many requests a user or an address may make in a period. The zero
// Rate sets no limit.
type Rate struct {
	Requests int
	Period   time.Duration
}

// UnmarshalText reads "600/1m", or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{}
		return nil
	}
	requests, period, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(requests)
	d, err2 := time.ParseDuration(period)
	if err != nil || err2 != nil || n < 1 || d < time.Millisecond {
		return errors.New("want requests/period, as 600/1m, or off")
	}
	*r = Rate{Requests: n, Period: d}
	return nil
}

// portOf lets GATEWAY_PORT stand in for the port that Dapr names, which is there
// only when something of Dapr's starts the program.
func portOf(getenv func(string) string) func(string) string {
	return func(name string) string {
		value := getenv(name)
		if name == "APP_PORT" && value == "" {
			return getenv("GATEWAY_PORT")
		}
		return value
	}
}
