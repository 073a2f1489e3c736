package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"boxoffice/shared/config"
)

// Config is the part of the environment that only the gateway reads. Every program
// also reads app.Config.
type Config struct {
	RedisAddr     string        `env:"REDIS_ADDR,required"`
	RedisPassword config.Secret `env:"REDIS_PASSWORD"`

	// Proxies are the networks of proxies whose X-Forwarded-For and
	// X-Forwarded-Proto headers are trusted.
	Proxies []ProxyNetwork `env:"TRUSTED_PROXIES"`

	Browse Rate `env:"RATE_LIMIT_BROWSE" default:"600/1m"` // GET and HEAD
	Write  Rate `env:"RATE_LIMIT_WRITE" default:"120/1m"`  // every other request
	LogIn  Rate `env:"RATE_LIMIT_LOGIN" default:"30/1m"`   // register and log-in

	// Address limits all requests of a client address together, whatever their kind and
	// whoever their users are.
	Address Rate `env:"RATE_LIMIT_ADDRESS" default:"3000/1m"`

	// Refusals limits the creates of bookings that a user may have refused. Further
	// creates of the user get 429 until some of them are forgotten.
	Refusals Rate `env:"RATE_LIMIT_REFUSALS" default:"60/1m"`

	// ReadCacheBytes limits the memory of the cache of public reads, in bytes. Zero
	// turns the cache off.
	ReadCacheBytes int64 `env:"READ_CACHE_BYTES" default:"33554432" min:"0"`

	// StreamsPerAddress is the number of availability streams that one client address
	// may have open. An IPv6 address counts as its /64.
	StreamsPerAddress int `env:"STREAMS_PER_ADDRESS" default:"10" min:"1"`

	// MaxConnections is the number of TCP connections of clients that may be open. It is
	// lower if the process may not open enough files; see FitToFiles.
	MaxConnections int `env:"MAX_CONNECTIONS" default:"20000" min:"1"`

	// ConnectionsPerAddress is the number of TCP connections that one client address may
	// have open. An IPv6 address counts as its /64, and proxies are exempt. If it is not
	// set, FitToFiles chooses it.
	ConnectionsPerAddress int `env:"CONNECTIONS_PER_ADDRESS" min:"1"`

	// SessionCacheKey is the secret that authenticates the cached sessions and users. It
	// must be auth's.
	SessionCacheKey config.Secret `env:"SESSION_CACHE_KEY,required" min:"32"`
}

// ProxyNetwork is a network of proxies whose forwarding headers are trusted.
type ProxyNetwork struct{ netip.Prefix }

// The shortest prefixes of a ProxyNetwork. A shorter one contains clients as well as
// proxies, and each of them could choose the address under which it is counted.
const (
	minProxyBits4 = 8  // 10.0.0.0/8 is the largest private network
	minProxyBits6 = 24 // content delivery networks announce a /29 or less
)

// UnmarshalText parses a network in CIDR notation. It refuses one that is too large to
// contain nothing but proxies: an IPv4 network must be a /8 or smaller, and an IPv6
// network a /24 or smaller, or lie in fc00::/7, which is private. A network of IPv4-mapped
// addresses becomes that of the IPv4 addresses.
func (p *ProxyNetwork) UnmarshalText(text []byte) error {
	network, err := netip.ParsePrefix(string(text))
	if err != nil {
		return errors.New("must be a network in CIDR notation, for example 10.0.0.0/8")
	}
	if mapped := network.Addr(); mapped.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(mapped.Unmap(), network.Bits()-96)
	}
	network = network.Masked()
	shortest := minProxyBits6
	switch {
	case network.Addr().Is4():
		shortest = minProxyBits4
	case network.Addr().IsPrivate():
		shortest = 7
	}
	if network.Bits() < shortest {
		return fmt.Errorf("trusts so many addresses that clients are among them: name only the networks of the proxies, at most a /%d each", shortest)
	}
	p.Prefix = network
	return nil
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

// WithGatewayNames returns a getenv that reads GATEWAY_PORT if APP_PORT is not set, and
// GATEWAY_HOST in preference to LISTEN_HOST. Only Dapr's own launchers set APP_PORT.
// LISTEN_HOST concerns every program, and GATEWAY_HOST only the one that clients reach.
func WithGatewayNames(getenv func(string) string) func(string) string {
	return func(name string) string {
		switch name {
		case "APP_PORT":
			return cmp.Or(getenv(name), getenv("GATEWAY_PORT"))
		case "LISTEN_HOST":
			return cmp.Or(getenv("GATEWAY_HOST"), getenv(name))
		}
		return getenv(name)
	}
}
