// Command event runs the event app. The app creates and lists events, and counts the seats
// that the booking app reserves and releases.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	dapr "github.com/dapr/go-sdk/client"

	"boxoffice/apps/event/internal/bookingclient"
	"boxoffice/apps/event/internal/daprcache"
	"boxoffice/apps/event/internal/event"
	"boxoffice/apps/event/internal/mongoevents"
	"boxoffice/apps/event/internal/transport"
	"boxoffice/shared/app"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprlock"
	"boxoffice/shared/daprpub"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/metrics"
	"boxoffice/shared/outbox"
	"boxoffice/shared/page"
	"boxoffice/shared/telemetry"
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
	a.RelaxGC()
	store, err := mongoevents.Open(mongoevents.Config{
		URI: cfg.MongoURI.Reveal(), Database: cfg.Database, Monitor: mongotrace.Monitor(a.Tracing),
	})
	if err != nil {
		return err
	}
	a.UseDatabase("mongodb", store)

	conn, err := a.DaprConn()
	if err != nil {
		return err
	}
	sidecar := dapr.NewClientWithConnection(conn)
	bus := daprpub.Connect(a, sidecar, store.Outbox(), eventapi.Topic)

	// Readiness does not depend on the booking app. The two apps call each other, so each
	// would otherwise wait for the other to become ready.
	svc := event.New(event.Config{
		Events:          enqueuingStore{store, bus.Relay},
		Catalogue:       store,
		Holds:           store,
		Limits:          store,
		Cache:           daprcache.New(sidecar, cacheStore),
		Log:             store,
		Bookings:        bookingclient.NewBookings(a.Client),
		Drifts:          newDriftReports(a.Log, a.Metrics),
		Batches:         event.NewBatches(telemetry.FollowerSpan("move seats"), metrics.NewBatchItems(a.Metrics, "move seats")),
		Locks:           daprlock.New(sidecar, lockStore),
		Clock:           app.Clock{},
		IDs:             app.IDs{},
		Cursors:         page.NewCursors(a.AppToken.Reveal()),
		HoldSettleAfter: cfg.HoldSettleAfter,
		Observer:        metrics.NewBacklog(a.Metrics, event.SweepKinds()),
		SweepParallel:   sweepParallel,
		Wait:            app.Clock{}.Sleep,
	})
	a.Use(lifecycle.Part{Name: "links", Stop: svc.FlushLinks})
	transport.Bind(a.Server, svc)
	transport.Subscribe(bus.Routes, svc)
	bus.HandleSweep(svc.Sweep)
	bus.HandleTick(cleanup, func(ctx context.Context) error {
		_, err := svc.Cleanup(ctx)
		return err
	})
	return nil
}

// enqueuingStore is an event.Events that enqueues a document with the relay after each
// write that adds facts to the document's outbox.
type enqueuingStore struct {
	event.Events
	relay *outbox.Relay
}

func (s enqueuingStore) InsertEvent(ctx context.Context, e event.Event, fact event.Fact) error {
	err := s.Events.InsertEvent(ctx, e, fact)
	if err == nil {
		s.relay.EnqueueNew(ctx, outbox.NewBox(ctx, e.ID, []event.Fact{fact}))
	}
	return err
}

func (s enqueuingStore) WriteDefinition(ctx context.Context, e event.Event, version int64, facts ...event.Fact) error {
	err := s.Events.WriteDefinition(ctx, e, version, facts...)
	if err == nil && len(facts) > 0 {
		s.relay.Enqueue(ctx, e.ID)
	}
	return err
}
