package main_test

import (
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
		return map[string]string{"REDIS_ADDR": "127.0.0.1:6379"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []main.Rate{cfg.Browse, cfg.Write, cfg.Refusals, cfg.LogIn} {
		if r.Requests == 0 {
			t.Errorf("got %+v, want a limit for every bucket", cfg)
		}
	}
}
