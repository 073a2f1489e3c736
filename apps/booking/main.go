// Booking is the app for bookings: it makes, confirms, cancels and lists them,
// ends those whose time is over, and tells the event app which holds are live.
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

	dapr "github.com/dapr/go-sdk/client"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/apps/booking/internal/daprport"
	"boxoffice/apps/booking/internal/mongostore"
	"boxoffice/apps/booking/internal/transport"
	"boxoffice/shared/app"
	"boxoffice/shared/contract/bookingapi"
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
		fmt.Fprintln(os.Stderr, "booking:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	return app.Run(ctx, bookingapi.App, getenv, stdout, wire)
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
		Store: store, Publisher: daprbus.New(sidecar, pubsub, bookingapi.Topic), Now: time.Now, Log: a.Log,
	})
	// It ends after the last request, so that what that one wrote is published.
	a.Use(lifecycle.Part{Name: "relay", Run: relay.Run})

	// The event app is not among the checks: it asks this one.
	seats := daprport.NewSeats(a.Client)
	svc := booking.New(booking.Config{
		Store:         feeding{store, relay},
		Finder:        store,
		Seats:         seats,
		Events:        seats,
		Locks:         daprlock.New(sidecar, lockStore),
		Clock:         clock{},
		IDs:           ids{},
		TTL:           cfg.BookingTTL,
		MaxPerBooking: int64(cfg.MaxPerBooking),
	})
	transport.Bind(a.Server, svc)
	in := inlet.Inlet{Mux: a.Mux, Log: a.Log, Tracing: a.Tracing}
	transport.Subscribe(in, svc)
	in.OnTick(sweep, func(ctx context.Context) error {
		_, err := svc.Expire(ctx)
		return errors.Join(err, relay.Sweep(ctx))
	})
	return nil
}

// feeding tells the relay of each write that has a fact.
type feeding struct {
	booking.Store
	relay *outbox.Relay
}

func (f feeding) InsertBooking(ctx context.Context, b booking.Booking, facts ...booking.Fact) error {
	err := f.Store.InsertBooking(ctx, b, facts...)
	if err == nil && len(facts) > 0 {
		f.relay.Feed(ctx, b.ID)
	}
	return err
}

func (f feeding) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, n int64, facts ...booking.Fact) error {
	err := f.Store.ReplaceBooking(ctx, b, state, n, facts...)
	if err == nil && len(facts) > 0 {
		f.relay.Feed(ctx, b.ID)
	}
	return err
}

// clock is the machine's.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// ids are random, of more than 128 bits.
type ids struct{}

func (ids) NewID() string { return rand.Text() }
