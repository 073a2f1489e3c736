// Event is the app for events and their seats: it makes and lists events, and
// counts the seats that the booking app reserves and releases.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the zones of events must not depend on the machine

	dapr "github.com/dapr/go-sdk/client"

	"boxoffice/apps/event/internal/daprport"
	"boxoffice/apps/event/internal/event"
	"boxoffice/apps/event/internal/mongostore"
	"boxoffice/apps/event/internal/transport"
	"boxoffice/shared/app"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprbus"
	"boxoffice/shared/daprlock"
	"boxoffice/shared/inlet"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/outbox"
	"boxoffice/shared/telemetry/mongotrace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "event:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	return app.Run(ctx, eventapi.App, getenv, stdout, wire)
}

func wire(_ context.Context, a *app.App, cfg settings) error {
	store, err := mongostore.Open(mongostore.Config{
		URI: cfg.MongoURI.Reveal(), Database: cfg.Database, Monitor: mongotrace.Monitor(a.Tracing),
	})
	if err != nil {
		return err
	}
	a.Use(lifecycle.Part{Name: "mongodb", Start: store.Prepare, Stop: store.Close})
	a.Check("mongodb", store.Ping)

	conn, err := a.DaprConn()
	if err != nil {
		return err
	}
	sidecar := dapr.NewClientWithConnection(conn)
	relay := outbox.New(outbox.Config{
		Store: store, Publisher: daprbus.New(sidecar, pubsub, eventapi.Topic), Now: time.Now, Log: a.Log,
	})
	// It ends after the last request, so that what that one wrote is published.
	a.Use(lifecycle.Part{Name: "relay", Run: relay.Run})

	// The booking app is not among the checks: it needs this one.
	svc := event.New(event.Config{
		Events:          feeding{store, relay},
		Catalogue:       store,
		Holds:           store,
		Limits:          store,
		Bookings:        daprport.NewBookings(a.Client),
		Locks:           daprlock.New(sidecar, lockStore),
		Turns:           event.NewTurns(turnFor),
		Clock:           clock{},
		IDs:             ids{},
		HoldSettleAfter: cfg.HoldSettleAfter,
	})
	transport.Bind(a.Server, svc)
	in := inlet.Inlet{Mux: a.Mux, Log: a.Log, Tracing: a.Tracing}
	transport.Subscribe(in, svc)
	in.OnTick(sweep, func(ctx context.Context) error { return errors.Join(svc.Sweep(ctx), relay.Sweep(ctx)) })
	in.OnTick(cleanup, func(ctx context.Context) error {
		_, err := svc.Cleanup(ctx)
		return err
	})
	return nil
}

// feeding tells the relay of each write that has a fact.
type feeding struct {
	event.Events
	relay *outbox.Relay
}

func (f feeding) InsertEvent(ctx context.Context, e event.Event, fact event.Fact) error {
	err := f.Events.InsertEvent(ctx, e, fact)
	if err == nil {
		f.relay.Feed(ctx, e.ID)
	}
	return err
}

func (f feeding) WriteDefinition(ctx context.Context, e event.Event, version int64, facts ...event.Fact) error {
	err := f.Events.WriteDefinition(ctx, e, version, facts...)
	if err == nil && len(facts) > 0 {
		f.relay.Feed(ctx, e.ID)
	}
	return err
}

// clock is the machine's.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// ids are random, of more than 128 bits.
type ids struct{}

func (ids) NewID() string { return rand.Text() }
