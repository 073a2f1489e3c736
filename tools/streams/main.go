// Command streams creates the JetStream streams for the apps' facts, or updates their
// configuration. It may be run at any time and repeatedly, and it keeps the messages
// in existing streams.
//
// On every topic it publishes when each stream was created. An app that sees a new
// stream in place of one that was lost publishes the facts in its outbox again.
//
// The apps themselves do not depend on NATS: they publish and subscribe through
// Dapr's pub/sub component.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/config"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

// settings are the environment variables of the command.
type settings struct {
	URL    config.Secret `env:"NATS_URL,required"`                     // may contain a password
	Within time.Duration `env:"STREAMS_WITHIN" default:"10s" min:"1s"` // limits the whole run
}

const (
	// retention is how long a stream keeps facts. It is longer than an outbox keeps
	// published facts, so that a subscriber can catch up after a long outage.
	retention = 72 * time.Hour
	// dedupWindow is how long the broker remembers message ids and drops duplicates.
	// Consumers do not rely on it.
	dedupWindow = 2 * time.Minute
	// deadSuffix is appended to a topic to name its dead-letter topic, as in the
	// subscriptions in dapr/.
	deadSuffix = "-dead"
)

// topics returns the topics of all apps. Each has a stream of the same name.
func topics() []string { return []string{"auth-events", eventapi.Topic, bookingapi.Topic} }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Within)
	defer cancel()
	conn, err := nats.Connect(cfg.URL.Reveal(), nats.Name("boxoffice streams"))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	broker, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	if err := provision(ctx, broker, topics()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d streams are ready\n", len(topics()))
	return err
}
