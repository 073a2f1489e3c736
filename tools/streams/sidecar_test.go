package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/daprsub"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

const (
	component    = "../../components/pubsub-jetstream/pubsub.yaml"
	subscription = "../../dapr/subscriptions/event-to-booking-facts.yaml"
	waitTimeout  = time.Minute
)

// quickPolicies replaces dapr/resiliency.yaml, so that a delivery with all its retries
// takes less than a second.
const quickPolicies = `
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: boxoffice}
spec:
  policies:
    timeouts: {delivery: 3s}
    retries: {deliver: {policy: constant, duration: 100ms, maxRetries: 2}}
  targets:
    components:
      pubsub: {inbound: {timeout: delivery, retry: deliver}}
`

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startSidecar starts an event app that handles the booking app's facts with handle, and a
// sidecar with the component and the subscription that the event app uses. ackWait
// replaces the component's, which is too long for a test; empty keeps it.
func (f *fixture) startSidecar(handle func(ctx context.Context, e daprsub.Event[bookingapi.Fact]) error, ackWait string) {
	f.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /facts/streams", func(http.ResponseWriter, *http.Request) {}) // the announcement of the streams
	daprsub.HandleFacts(daprsub.Routes{Mux: mux, Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider()}, "/facts/bookings", handle)
	srv := httptest.NewServer(mux)
	f.t.Cleanup(srv.Close)
	pubsub := read(f.t, component)
	if ackWait != "" {
		const original = "value: 30s"
		if !strings.Contains(pubsub, original) {
			f.t.Fatalf("%s does not contain %s", component, original)
		}
		pubsub = strings.Replace(pubsub, original, "value: "+ackWait, 1)
	}
	f.t.Setenv("NATS_URL", f.url)
	servers.StartSidecar(f.t, servers.SidecarConfig{
		AppID: "event", AppPort: srv.Listener.Addr().(*net.TCPAddr).Port,
		Components: []string{pubsub, read(f.t, subscription), quickPolicies},
	})
}

// publish publishes a fact of the booking app as the sidecar's component does: the id of
// the event is that of the message.
func (f *fixture) publish(id string) {
	f.t.Helper()
	event := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"booking","type":%q,"datacontenttype":"application/json","data":{}}`, id, bookingapi.FactConfirmed)
	if _, err := f.broker.Publish(f.t.Context(), bookingapi.Topic, []byte(event), jetstream.WithMsgID(id)); err != nil {
		f.t.Fatal(err)
	}
}

// awaitDeadLetter waits until the stream of dead letters has one message, and checks that
// it is the fact with the given id.
func (f *fixture) awaitDeadLetter(id string) {
	f.t.Helper()
	kit.Eventually(f.t, waitTimeout, "the fact is a dead letter", func() error {
		if n := f.info(bookingapi.Topic + deadSuffix).State.Msgs; n != 1 {
			return fmt.Errorf("got %d dead letters", n)
		}
		return nil
	})
	stream, err := f.broker.Stream(f.t.Context(), bookingapi.Topic+deadSuffix)
	if err != nil {
		f.t.Fatal(err)
	}
	msg, err := stream.GetMsg(f.t.Context(), 1)
	if err != nil {
		f.t.Fatal(err)
	}
	if text := string(msg.Data); !strings.Contains(text, `"`+id+`"`) {
		f.t.Errorf("got dead letter %s, want the fact %s", text, id)
	}
}

// awaitAcknowledged waits until every fact is acknowledged.
func (f *fixture) awaitAcknowledged() {
	f.t.Helper()
	kit.Eventually(f.t, waitTimeout, "all facts are acknowledged", func() error {
		consumer, err := f.broker.PushConsumer(f.t.Context(), bookingapi.Topic, "event")
		if err != nil {
			return err
		}
		info, err := consumer.Info(f.t.Context())
		if err == nil && (info.NumPending > 0 || info.NumAckPending > 0) {
			err = fmt.Errorf("%d are not delivered, %d are not acknowledged", info.NumPending, info.NumAckPending)
		}
		return err
	})
}

// receive returns the next value of c. It fails the test if there is none in time.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(waitTimeout):
		t.Fatal("timed out waiting for a delivery")
	}
	return v
}

// A fact that the app refuses must be found among the dead letters, although it has the
// message id of the original. So must a fact that the app could not process in any of the
// sidecar's attempts.
func TestFactsThatTheAppDoesNotProcessBecomeDeadLetters(t *testing.T) {
	for name, err := range map[string]error{
		"refused": apperr.New(apperr.Invalid, "", "no"),
		"fails":   errors.New("a bug"),
		"busy":    apperr.Overloaded(time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.run()
			id := rand.Text()
			f.startSidecar(func(_ context.Context, e daprsub.Event[bookingapi.Fact]) error {
				if e.ID == id {
					return err
				}
				return nil
			}, "")
			f.publish(id)
			f.publish(rand.Text())
			f.awaitDeadLetter(id)
			f.awaitAcknowledged()
		})
	}
}

// While a stream of dead letters is missing, the fact is not lost: it is delivered again
// until the dead letter is stored.
func TestFactIsRedeliveredUntilItsDeadLetterIsStored(t *testing.T) {
	f := newFixture(t)
	f.run()
	f.deleteStream(bookingapi.Topic + deadSuffix)
	id, deliveries := rand.Text(), make(chan struct{}, 100)
	f.startSidecar(func(_ context.Context, e daprsub.Event[bookingapi.Fact]) error {
		if e.ID != id {
			return nil
		}
		deliveries <- struct{}{}
		return apperr.New(apperr.Invalid, "", "no")
	}, "2s")
	f.publish(id)
	for range 6 { // more than the sidecar's attempts at one delivery
		receive(t, deliveries)
	}
	f.run()
	f.awaitDeadLetter(id)
	f.awaitAcknowledged()
}

// The sidecar must create its consumer with the limit, and accept the one that the command
// has updated.
func TestSidecarSubscribesWithTheLimitOfUnacknowledgedFacts(t *testing.T) {
	for name, prepare := range map[string]func(*fixture){
		"new consumer": func(*fixture) {},
		"consumer of an earlier version": func(f *fixture) {
			f.addConsumer(jetstream.ConsumerConfig{MaxAckPending: 1000})
			f.run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.run()
			prepare(f)
			delivered := make(chan string, 10)
			f.startSidecar(func(_ context.Context, e daprsub.Event[bookingapi.Fact]) error {
				delivered <- e.ID
				return nil
			}, "")
			id := rand.Text()
			f.publish(id)
			if got := receive(t, delivered); got != id {
				t.Errorf("got fact %s, want %s", got, id)
			}
			consumer, err := f.broker.PushConsumer(t.Context(), bookingapi.Topic, "event")
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := loadSettings(f.getenv)
			if err != nil {
				t.Fatal(err)
			}
			if got := consumer.CachedInfo().Config.MaxAckPending; got != cfg.MaxAckPending {
				t.Errorf("got a limit of %d, want %d, the default of STREAMS_MAX_ACK_PENDING", got, cfg.MaxAckPending)
			}
		})
	}
}

// While a fact is being processed, the sidecar must not receive more facts than the limit
// allows: their ackWait would run out.
func TestSidecarReceivesFewFactsAhead(t *testing.T) {
	f := newFixture(t)
	f.run()
	const facts = 50
	cfg, err := loadSettings(f.getenv)
	if err != nil {
		t.Fatal(err)
	}
	delivered, proceed := make(chan string, 1000), make(chan struct{})
	f.startSidecar(func(_ context.Context, e daprsub.Event[bookingapi.Fact]) error {
		<-proceed
		delivered <- e.ID
		return nil
	}, "")
	release := sync.OnceFunc(func() { close(proceed) })
	t.Cleanup(release) // before the app's server ends, which waits for its requests
	want := map[string]bool{}
	for range facts {
		id := rand.Text()
		f.publish(id)
		want[id] = true
	}
	kit.Eventually(t, waitTimeout, "the sidecar has received as many facts as the limit allows", func() error {
		consumer, err := f.broker.PushConsumer(t.Context(), bookingapi.Topic, "event")
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		if info.NumAckPending > cfg.MaxAckPending {
			t.Fatalf("the sidecar has received %d facts, want at most %d", info.NumAckPending, cfg.MaxAckPending)
		}
		if info.NumAckPending < cfg.MaxAckPending || info.NumPending == 0 {
			return fmt.Errorf("it has received %d, and %d wait", info.NumAckPending, info.NumPending)
		}
		return nil
	})
	release()
	for len(want) > 0 {
		delete(want, receive(t, delivered))
	}
}
