// Event is the app for events and their seats: it makes and lists events, and
// counts the seats that the booking app reserves and releases.
package main

import (
	"context"
	"crypto/rand"
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
	"boxoffice/shared/daprlock"
	"boxoffice/shared/lifecycle"
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
	// The booking app is not among the checks: it needs this one.
	svc := event.New(event.Config{
		Events:          store,
		Catalogue:       store,
		Holds:           store,
		Limits:          store,
		Bookings:        daprport.NewBookings(a.Client),
		Locks:           daprlock.New(dapr.NewClientWithConnection(conn), lockStore),
		Turns:           event.NewTurns(turnFor),
		Clock:           clock{},
		IDs:             ids{},
		HoldSettleAfter: cfg.HoldSettleAfter,
	})
	transport.Bind(a.Server, svc)
	return nil
}

// clock is the machine's.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// ids are random, of more than 128 bits.
type ids struct{}

func (ids) NewID() string { return rand.Text() }
