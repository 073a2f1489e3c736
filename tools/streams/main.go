// Command streams creates the JetStream streams for the apps' facts, or updates their
// configuration and the consumers of the sidecars. It may be run at any time and
// repeatedly, and it keeps the messages in existing streams.
//
// Each topic has a second stream for its dead letters, the facts that an app refused or
// could not process. "streams dead" counts them, and "streams dead -print" prints them:
//
//	. .data/nats.env && go run ./tools/streams dead -print
//
// On every topic it publishes when each stream was created. An app that sees a new
// stream in place of one that was lost publishes the facts in its outbox again.
//
// The apps themselves do not depend on NATS: they publish and subscribe through
// Dapr's pub/sub component.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
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
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
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
	// MaxAckPending is the number of facts that the sidecars of an app may have received and
	// not acknowledged. It must be the same as maxAckPending of the pub/sub component:
	// otherwise a sidecar does not accept the consumer. It must be at least the number of the
	// app's replicas, which share the consumer.
	MaxAckPending int `env:"STREAMS_MAX_ACK_PENDING" default:"8" min:"1"`
}

func loadSettings(getenv func(string) string) (settings, error) { return config.Load[settings](getenv) }

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
	// deadRetention is how long a stream keeps dead letters.
	deadRetention = 30 * 24 * time.Hour
	// deadBytes limits the size of each stream of dead letters. It is enough for about
	// 30,000 facts. When a stream is full, the oldest dead letters are dropped. If the
	// stream refused new ones instead, a fact could neither be processed nor become a dead
	// letter, and would block the facts behind it.
	deadBytes = 64 << 20
)

// topics returns the topics of all apps. Each has a stream of the same name, and one for
// its dead letters.
func topics() []string { return []string{"auth-events", eventapi.Topic, bookingapi.Topic} }

var errUsage = errors.New("usage: streams [dead [-print]]")

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	var listsDead, printsDead bool
	switch {
	case len(args) == 0:
	case slices.Equal(args, []string{"dead"}):
		listsDead = true
	case slices.Equal(args, []string{"dead", "-print"}):
		listsDead, printsDead = true, true
	default:
		return errUsage
	}
	cfg, err := loadSettings(getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Within)
	defer cancel()
	if err := checkURL(cfg.URL.Reveal()); err != nil {
		return err
	}
	conn, err := nats.Connect(cfg.URL.Reveal(), nats.Name("boxoffice streams"))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	broker, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	if listsDead {
		return listDeadLetters(ctx, broker, topics(), printsDead, stdout)
	}
	p := provisioner{broker: broker, maxAckPending: cfg.MaxAckPending}
	if err := p.provision(ctx, topics()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d streams are ready\n", 2*len(topics()))
	return err
}

// checkURL returns an error if one of the comma-separated URLs is invalid. The error of the
// NATS client would quote the URL with its password.
func checkURL(urls string) error {
	for one := range strings.SplitSeq(urls, ",") {
		if _, err := url.Parse(strings.TrimSpace(one)); err != nil {
			return errors.New("NATS_URL is not a valid URL: it must look like nats://user:password@host:4222")
		}
	}
	return nil
}
