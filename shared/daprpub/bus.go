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

// Names of the components that every app on the bus uses.
const (
	Component = "pubsub"
	SweepTick = "sweep"
)

// StreamsPath is where the subscriptions in dapr/ send what is told of streams.
const StreamsPath = "/facts/streams"

// Bus is an app's place on the bus: others' facts and the ticks come in by its
// routes, its own go out by its relay.
type Bus struct {
	daprsub.Routes
	Relay *outbox.Relay
}

// Connect brings the facts of an app's outboxes to its topic for as long as the app
// runs. When the topic's stream was made anew, they are brought there again.
func Connect(a *app.App, sidecar client.Client, boxes outbox.Store, topic string) *Bus {
	b := &Bus{
		Routes: daprsub.Routes{Mux: a.Mux, Log: a.Log, Tracing: a.Tracing},
		Relay: outbox.New(outbox.Config{
			Store: boxes, Publisher: NewPublisher(sidecar, Component, topic), Now: app.Clock{}.Now, Log: a.Log,
		}),
	}
	// It ends after the last request, so that what that one wrote is published.
	a.Use(lifecycle.Part{Name: "relay", Run: b.Relay.Run})
	daprsub.HandleFacts(b.Routes, StreamsPath, func(ctx context.Context, e daprsub.Event[streams.Made]) error {
		made, ours := e.Data.Streams[topic]
		switch {
		case !ours:
			return nil
		case made.IsZero():
			return apperr.New(apperr.Invalid, "", "The fact says not when the stream was made.")
		}
		return b.Relay.Rewind(ctx, made.Time)
	})
	return b
}

// HandleSweep does the app's periodic work and the relay's, side by side: however
// long the one waits for others, the other has all of the tick's time.
func (b *Bus) HandleSweep(work func(context.Context) error) {
	b.HandleTick(SweepTick, func(ctx context.Context) error {
		relayed := make(chan error, 1)
		go func() { relayed <- b.Relay.Sweep(ctx) }()
		return errors.Join(work(ctx), <-relayed)
	})
}
