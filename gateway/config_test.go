package main_test

import (
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/shared/config"
)

func TestRateUnmarshalText(t *testing.T) {
	for text, want := range map[string]main.Rate{
		"600/1m": {Requests: 600, Period: time.Minute},
		"1/1ms":  {Requests: 1, Period: time.Millisecond},
		"off":    {},
	} {
		var got main.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "600", "0/1m", "-1/1m", "600/0s", "600/1", "many/1m", "1m/600", "OFF"} {
		var got main.Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestEveryBucketHasALimitByDefault(t *testing.T) {
	cfg, err := config.Load[main.Config](func(name string) string {
		return map[string]string{"REDIS_ADDR": "127.0.0.1:6379", "SESSION_CACHE_KEY": strings.Repeat("k", 32)}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []main.Rate{cfg.Browse, cfg.Write, cfg.Refusals, cfg.LogIn, cfg.Address} {
		if r.Requests == 0 {
			t.Errorf("got %+v, want a limit for every bucket", cfg)
		}
	}
}

func TestProxyNetworksThatContainEverybodyAreRefused(t *testing.T) {
	load := func(networks string) (main.Config, error) {
		return config.Load[main.Config](func(name string) string {
			return map[string]string{"REDIS_ADDR": "127.0.0.1:6379", "TRUSTED_PROXIES": networks, "SESSION_CACHE_KEY": strings.Repeat("k", 32)}[name]
		})
	}
	for text, want := range map[string]string{
		"10.0.0.0/8":                "10.0.0.0/8",
		"10.1.2.3/16":               "10.1.0.0/16",
		"192.0.2.7/32":              "192.0.2.7/32",
		"104.16.0.0/13":             "104.16.0.0/13", // a content delivery network
		"2400:cb00::/32":            "2400:cb00::/32",
		"fc00::/7":                  "fc00::/7",
		"::1/128":                   "::1/128",
		"::ffff:10.0.0.0/104":       "10.0.0.0/8",
		"::ffff:192.0.2.1/128":      "192.0.2.1/32",
		"10.0.0.0/8, 172.16.0.0/12": "10.0.0.0/8 172.16.0.0/12",
	} {
		cfg, err := load(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, p := range cfg.Proxies {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %s", text, got, want)
		}
	}
	for _, text := range []string{
		"0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1,0.0.0.0/1", "8.8.8.8/0", "10.0.0.0/7", "2000::/3", "2001::/16", "fc00::/6",
		"::ffff:0.0.0.0/96", "::ffff:0:0/97", "10.0.0.0/8,0.0.0.0/0", "10.0.0.1", "everybody",
	} {
		if cfg, err := load(text); err == nil || !strings.Contains(err.Error(), "TRUSTED_PROXIES") {
			t.Errorf("%s: got %v, %v, want an error that names TRUSTED_PROXIES", text, cfg.Proxies, err)
		}
	}
}

func TestConnectionLimitsFitTheOpenFiles(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		total, perAddress         int // configured
		files, processors         int
		wantTotal, wantPerAddress int
		wantErr                   bool
	}{
		{"plenty of files", 20_000, 0, 1 << 20, 4, 20_000, 2000, false},
		{"the usual limit of a shell", 20_000, 0, 1024, 2, 470, 117, false}, // (1024 - 64 - 20) / 2
		{"few files", 20_000, 0, 256, 2, 86, 21, false},
		{"the smallest limit", 20_000, 0, 116, 2, 16, 4, false},
		{"too few files", 20_000, 0, 115, 2, 0, 0, true},
		{"a low limit of all", 10, 0, 1 << 20, 2, 10, 2, false},
		{"one connection", 1, 0, 1 << 20, 2, 1, 1, false},
		{"a configured limit of an address", 20_000, 5000, 1024, 2, 470, 5000, false},
	} {
		cfg := main.Config{MaxConnections: tt.total, ConnectionsPerAddress: tt.perAddress}
		err := cfg.FitToFiles(tt.files, tt.processors)
		if (err != nil) != tt.wantErr {
			t.Errorf("%s: got error %v, want one %t", tt.name, err, tt.wantErr)
		}
		if err == nil && (cfg.MaxConnections != tt.wantTotal || cfg.ConnectionsPerAddress != tt.wantPerAddress) {
			t.Errorf("%s: got %d and %d, want %d and %d", tt.name, cfg.MaxConnections, cfg.ConnectionsPerAddress, tt.wantTotal, tt.wantPerAddress)
		}
	}
}
