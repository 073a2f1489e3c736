package config_test

import (
	"fmt"
	"time"

	"boxoffice/shared/config"
)

// A program declares its variables as a struct and passes os.Getenv to Load.
func ExampleLoad() {
	type settings struct {
		MongoURI config.Secret `env:"MONGO_URI,required"`
		TTL      time.Duration `env:"BOOKING_TTL" default:"15m" min:"1s"`
		Brokers  []string      `env:"BROKERS"`
	}
	environment := map[string]string{
		"MONGO_URI": "mongodb://user:password@127.0.0.1",
		"BROKERS":   "nats-1, nats-2",
	}
	getenv := func(name string) string { return environment[name] }

	cfg, err := config.Load[settings](getenv)
	fmt.Printf("%+v %v\n", cfg, err)
	fmt.Println(cfg.MongoURI.Reveal())
	// Output:
	// {MongoURI:[redacted] TTL:15m0s Brokers:[nats-1 nats-2]} <nil>
	// mongodb://user:password@127.0.0.1
}

// The error lists every variable that is missing or invalid.
func ExampleLoad_errors() {
	type settings struct {
		MongoURI config.Secret `env:"MONGO_URI,required"`
		AppToken config.Secret `env:"APP_API_TOKEN,required" min:"16"`
		Port     int           `env:"APP_PORT" default:"8080" min:"1"`
		TTL      time.Duration `env:"BOOKING_TTL" default:"15m" min:"1s"`
		Sweep    time.Duration `env:"SWEEP_INTERVAL" default:"30s" min:"1s"`
	}
	environment := map[string]string{
		"APP_API_TOKEN":  "short",
		"APP_PORT":       "http",
		"BOOKING_TTL":    "15",
		"SWEEP_INTERVAL": "10ms",
	}
	_, err := config.Load[settings](func(name string) string { return environment[name] })
	fmt.Println(err)
	// Output:
	// configuration: MONGO_URI must be set
	// APP_API_TOKEN must be at least 16 bytes long
	// APP_PORT is set to "http": must be a whole number
	// BOOKING_TTL is set to "15": must be a duration, for example 90s or 15m
	// SWEEP_INTERVAL must be at least 1s, got 10ms
}
