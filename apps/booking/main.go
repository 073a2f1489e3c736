// Command booking is the booking app. It creates, confirms, cancels, lists and expires
// bookings, and settles holds for the event app.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	dapr "github.com/dapr/go-sdk/client"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/apps/booking/internal/eventclient"
	"boxoffice/apps/booking/internal/mongobookings"
	"boxoffice/apps/booking/internal/transport"
	"boxoffice/shared/app"
	"boxoffice/shared/contract/bookingapi"
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
		fmt.Fprintln(os.Stderr, "booking:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	return app.Run(ctx, bookingapi.App, getenv, stdout, wire)
}

// wire connects the app's adapters to its use cases.
func wire(_ context.Context, a *app.App, cfg settings) error {
	if err := cfg.MaxPendingPerUser.check(cfg.MaxPerBooking); err != nil {
		return err
	}
	a.RelaxGC()
	store, err := mongobookings.Open(mongobookings.Config{
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
	bus := daprpub.Connect(a, sidecar, store.Outbox(), bookingapi.Topic)

	// Readiness does not depend on the event app, because the event app also depends on
	// this one.
	seats := eventclient.NewSeats(a.Client, a.Metrics)
	svc := booking.New(booking.Config{
		Store:  enqueuingStore{store, bus.Relay},
		Finder: store,
		Cancellations: booking.CancellationConfig{
			Jobs: store, Unpublished: store, Publisher: publisher{bus.Relay}, Pacer: newPacer(cfg.CancellationRate),
			Trace: startSpan(a.Tracing), Parallel: cancellationParallel,
		},
		Seats:         seats,
		Events:        seats,
		Observer:      metrics.NewBacklog(a.Metrics, booking.SweepKinds()),
		Locks:         daprlock.New(sidecar, lockStore),
		Clock:         app.Clock{},
		IDs:           app.IDs{},
		Cursors:       page.NewCursors(a.AppToken.Reveal()),
		TTL:           cfg.BookingTTL,
		MaxPerBooking: int64(cfg.MaxPerBooking),
		SweepParallel: sweepParallel,

		MaxPendingPerUser: int64(cfg.MaxPendingPerUser),
	})
	transport.Bind(a.Server, svc)
	transport.Subscribe(bus.Routes, svc)
	a.Background(lifecycle.Part{Name: "cancellations", Run: func(ctx context.Context) error {
		return svc.RunCancellations(ctx, func(ctx context.Context, err error) {
			a.Log.WarnContext(ctx, "cancelling the bookings of events failed, will be retried", telemetry.KeyError, err.Error())
		})
	}})
	bus.HandleSweep(func(ctx context.Context) error {
		svc.WakeCancellations()
		_, err := svc.Sweep(ctx)
		return err
	})
	return nil
}

// startSpan returns a function that starts spans for work that no request has caused.
func startSpan(tracing trace.TracerProvider) func(ctx context.Context, name string) (context.Context, func()) {
	tracer := tracing.Tracer("boxoffice/apps/booking")
	return func(ctx context.Context, name string) (context.Context, func()) {
		ctx, span := tracer.Start(ctx, name)
		return ctx, func() { span.End() }
	}
}

// publisher is a booking.Publisher that publishes facts through the relay.
type publisher struct{ relay *outbox.Relay }

// PublishFacts implements booking.Publisher.
func (p publisher) PublishFacts(ctx context.Context, bookingIDs []string) error {
	return p.relay.PublishNow(ctx, bookingIDs...)
}

// ReplaceBookings implements booking.Store.
func (s enqueuingStore) ReplaceBookings(ctx context.Context, changes []booking.Change) []error {
	errs := s.Store.ReplaceBookings(ctx, changes)
	for i, c := range changes {
		if errs[i] == nil && len(c.Facts) > 0 {
			s.relay.Enqueue(ctx, c.Booking.ID)
		}
	}
	return errs
}

// enqueuingStore is a booking.Store that also asks the relay to publish the facts of
// each write at once.
type enqueuingStore struct {
	booking.Store
	relay *outbox.Relay
}

// InsertBooking implements booking.Store.
func (s enqueuingStore) InsertBooking(ctx context.Context, b booking.Booking, facts ...booking.Fact) error {
	err := s.Store.InsertBooking(ctx, b, facts...)
	if err == nil && len(facts) > 0 {
		s.relay.EnqueueNew(ctx, outbox.NewBox(ctx, b.ID, facts))
	}
	return err
}

// ReplaceBooking implements booking.Store.
func (s enqueuingStore) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, holdNumber int64, facts ...booking.Fact) error {
	err := s.Store.ReplaceBooking(ctx, b, state, holdNumber, facts...)
	if err == nil && len(facts) > 0 {
		s.relay.Enqueue(ctx, b.ID)
	}
	return err
}
