package daprpub

import (
	"context"
	"errors"

	"github.com/dapr/go-sdk/client"

	"boxoffice/shared/app"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/streams"
	"boxoffice/shared/daprsub"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/outbox"
)

// Names of the Dapr components that every app on the bus uses: the pub/sub component and
// the cron component that triggers sweeps.
const (
	Component = "pubsub"
	SweepTick = "sweep"
)

// StreamsPath is the path to which the subscriptions in dapr/ deliver facts about streams.
const StreamsPath = "/facts/streams"

// Bus is the connection of an app to the bus. Its routes receive ticks and the facts of
// other apps. Its relay publishes the app's own facts.
type Bus struct {
	daprsub.Routes
	Relay *outbox.Relay
}

// Connect connects an app to the bus. While the app runs, the facts in boxes are
// published to topic. When the topic's stream has been recreated, the retained facts are
// published again.
func Connect(a *app.App, sidecar client.Client, boxes outbox.Store, topic string) *Bus {
	b := &Bus{
		Routes: daprsub.Routes{Mux: a.Mux, Log: a.Log, Tracing: a.Tracing, Dropped: countDropped(a.Metrics)},
		Relay: outbox.New(outbox.Config{
			Store: boxes, Publisher: NewPublisher(sidecar, Component, topic), Now: app.Clock{}.Now, Log: a.Log,
			Backlog: Backlog(a.Metrics),
		}),
	}
	// Parts added by Use stop after the last request, so the relay still publishes the
	// facts of that request.
	a.Use(lifecycle.Part{Name: "relay", Run: b.Relay.Run})
	daprsub.HandleFacts(b.Routes, StreamsPath, func(ctx context.Context, e daprsub.Event[streams.Made]) error {
		made, isListed := e.Data.Streams[topic]
		switch {
		case !isListed:
			return nil
		case made.IsZero():
			return apperr.New(apperr.Invalid, "", "The fact must contain the time at which the stream was made.")
		}
		err := b.Relay.Rewind(ctx, made.Time)
		if errors.Is(err, outbox.ErrFuture) {
			return apperr.New(apperr.Invalid, "", "The time at which the stream was made must not be in the future.")
		}
		return err
	})
	return b
}

// HandleSweep registers the app's periodic work. Each tick runs it and the relay's sweep
// concurrently, so that neither takes time from the other.
func (b *Bus) HandleSweep(work func(context.Context) error) {
	b.HandleTick(SweepTick, func(ctx context.Context) error {
		swept := make(chan error, 1)
		go func() { swept <- b.Relay.Sweep(ctx) }()
		return errors.Join(work(ctx), <-swept)
	})
}
