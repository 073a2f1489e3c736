// Command streams makes the JetStream streams that the apps' facts go to, or
// brings them up to date. It may run at any time and again: what is in a stream
// stays. On every topic it tells when the streams were made, so that whoever
// published to one that was lost sends again what it kept. It alone knows the
// broker by name.
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

type settings struct {
	URL    config.Secret `env:"NATS_URL,required"` // may hold a password
	Within time.Duration `env:"STREAMS_WITHIN" default:"10s" min:"1s"`
}

const (
	// keepFor is longer than an outbox keeps what it has sent, so that who was away
	// can catch up.
	keepFor = 72 * time.Hour
	// sameFor is how long the broker knows the id of a fact that was published
	// twice. Consumers do not rely on it.
	sameFor = 2 * time.Minute
	// deadSuffix makes of a topic the one for facts that no try could deliver, as
	// the subscriptions in dapr/ name it.
	deadSuffix = "-dead"
)

// topics are those of all apps; each has a stream of its name.
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
	_, err = fmt.Fprintf(stdout, "%d streams are there\n", len(topics()))
	return err
}
