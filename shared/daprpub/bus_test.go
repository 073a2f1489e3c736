package daprpub_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/daprpub"
	"boxoffice/shared/daprsub"
	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
)

// publisher is an outbox.Publisher that sends the records to a channel.
type publisher chan outbox.Record

func (p publisher) Publish(_ context.Context, r outbox.Record) error {
	p <- r
	return nil
}

// Due facts are published even if the app's own periodic work hangs.
func TestSweepPublishesWhileTheWorkHangs(t *testing.T) {
	boxes, published := outboxtest.NewStore(), make(publisher, 1)
	boxes.Add("b1", time.Now().Add(-time.Hour), outbox.Record{ID: "f1", Type: "booking.created", Subject: "b1"})
	log := slog.New(slog.DiscardHandler)
	bus := daprpub.Bus{
		Routes: daprsub.Routes{Mux: http.NewServeMux(), Log: log, Tracing: noop.NewTracerProvider()},
		Relay:  outbox.New(outbox.Config{Store: boxes, Publisher: published, Now: time.Now, Log: log}),
	}
	bus.HandleSweep(func(ctx context.Context) error {
		select {
		case <-published:
			return nil
		case <-ctx.Done():
			t.Error("got no published fact while the work was hanging")
			return errors.New("the other app hangs")
		}
	})
	bus.Mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/"+daprpub.SweepTick, nil))
}
