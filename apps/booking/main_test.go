package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/contract/streams"
	"boxoffice/shared/daprpub"
	"boxoffice/shared/outbox"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
	"boxoffice/test/kit/outboxes"
	"boxoffice/test/servers"
)

const (
	apiToken = "token that the sidecar requires"
	appToken = "token that the sidecar sends to the app"
	timeout  = 20 * time.Second // how long the tests wait for a condition
	capacity = 30               // seats of the event
)

// eventApp is a fake event app with one event, the gala.
type eventApp struct {
	mu    sync.Mutex
	holds map[string]int64 // quantity by hold id; 0 after the release
	// isCancelled reports whether the gala is cancelled.
	isCancelled bool
}

func (e *eventApp) heldSeats() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heldSeatsLocked()
}

// heldSeatsLocked is heldSeats for callers that hold e.mu.
func (e *eventApp) heldSeatsLocked() int64 {
	var n int64
	for _, q := range e.holds {
		n += q
	}
	return n
}

func (e *eventApp) reserveAll(ctx context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	results := make([]rpc.Result[eventapi.Reservation], len(reqs))
	for i, req := range reqs {
		results[i].Data, results[i].Err = e.reserve(ctx, req)
	}
	return results, nil
}

func (e *eventApp) reserve(_ context.Context, r eventapi.ReserveRequest) (eventapi.Reservation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	quantity, exists := e.holds[r.HoldID]
	switch {
	case r.EventID != "gala":
		return eventapi.Reservation{}, apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	case exists && quantity == 0:
		return eventapi.Reservation{}, apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "This hold was released.")
	case !exists && e.heldSeatsLocked()+r.Quantity > capacity:
		return eventapi.Reservation{}, apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
	}
	e.holds[r.HoldID] = r.Quantity
	return eventapi.Reservation{UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"}}, nil
}

func (e *eventApp) releaseAll(_ context.Context, reqs []eventapi.ReleaseRequest) ([]rpc.Result[rpc.Nothing], error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range reqs {
		e.holds[r.HoldID] = 0
	}
	return make([]rpc.Result[rpc.Nothing], len(reqs)), nil
}

func (e *eventApp) getEvent(context.Context, eventapi.GetRequest) (eventapi.Versioned, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gala := eventapi.Event{ID: "gala", StartsAt: contract.At(time.Now().Add(time.Hour)), Status: eventapi.StatusPublished}
	if e.isCancelled {
		gala.Status = eventapi.StatusCancelled
	}
	return eventapi.Versioned{Event: gala}, nil
}

// startProxy starts a proxy in front of the sidecar and returns its port. The proxy
// passes invocations of the event app to e and everything else to the sidecar.
func (e *eventApp) startProxy(t *testing.T, sidecar string) (port string) {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{
		App: eventapi.App, Token: appToken, Log: telemetry.NewLog(t.Output(), "event", "test"), Tracing: noop.NewTracerProvider(),
	})
	rpc.HandleEach(srv, eventapi.ReserveSeats, e.reserveAll)
	rpc.HandleEach(srv, eventapi.ReleaseSeats, e.releaseAll)
	rpc.Handle(srv, eventapi.GetEvent, e.getEvent)
	target, err := url.Parse(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("POST /v1.0/invoke/event/method/{method}", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("dapr-api-token", appToken)
		r.URL.Path = "/" + r.PathValue("method")
		srv.ServeHTTP(w, r)
	})
	proxy := httptest.NewServer(mux)
	t.Cleanup(proxy.Close)
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address.Port()
}

// program is a running booking app with its sidecar, its database and a fake event app.
type program struct {
	*rpc.Client
	grpc     string // address of the sidecar's gRPC API
	eventApp *eventApp
	bookings *mongo.Collection
}

// startProgram starts the app and waits until it is ready. extraEnv is added to its
// environment.
func startProgram(t *testing.T, extraEnv map[string]string) program {
	t.Helper()
	db, redis := servers.StartMongo(t), servers.StartRedis(t)
	port := kit.FreePort(t)
	subscription, err := os.ReadFile("../../dapr/subscriptions/booking-to-event-facts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{
		AppID: "booking", AppPort: port, APIToken: apiToken, AppToken: appToken,
		Components: []string{
			servers.Component("lock", "lock.redis", "redisHost", redis.Addr(), "redisPassword", ""),
			servers.Component("pubsub", "pubsub.in-memory"),
			servers.Component("sweep", "bindings.cron", "schedule", "@every 1s", "direction", "input"),
			string(subscription),
		},
	})
	p := program{grpc: sidecar.GRPCAddr(), eventApp: &eventApp{holds: map[string]int64{}}}
	env := map[string]string{
		"APP_PORT": strconv.Itoa(port), "DAPR_HTTP_PORT": p.eventApp.startProxy(t, sidecar.URL()), "DAPR_GRPC_PORT": strconv.Itoa(sidecar.GRPCPort),
		"METRICS_PORT": strconv.Itoa(kit.FreePort(t)), "DAPR_API_TOKEN": apiToken, "APP_API_TOKEN": appToken, "MONGO_URI": db.URI, "MONGO_DATABASE": db.Database,
	}
	for name, value := range extraEnv {
		env[name] = value
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		defer close(ended) // the cleanup receives, even if the wait for readiness has done so
		ended <- run(ctx, func(name string) string { return env[name] }, t.Output())
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the app returned %v, want nil", err)
		}
	})
	kit.Eventually(t, timeout, "the app is ready", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the app ended before it was ready: %v", err)
		default:
		}
		res, err := http.Get("http://127.0.0.1:" + env["APP_PORT"] + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	p.Client = rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL(), Token: apiToken, Tracing: noop.NewTracerProvider()})
	t.Cleanup(p.Close)
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	p.bookings = client.Database(db.Database).Collection("bookings")
	return p
}

func request(id, key string, quantity int64) bookingapi.CreateRequest {
	return bookingapi.CreateRequest{BookingID: id, IdempotencyKey: key, UserID: "u1", EventID: "gala", Quantity: quantity}
}

// awaitPublished waits until all facts of the bookings are published.
func (p program) awaitPublished(t *testing.T) {
	t.Helper()
	kit.Eventually(t, timeout, "all facts are published", func() bool { return outboxes.CountUnsent(t, p.bookings) == 0 })
}

// The test calls the running app through its sidecar.
func TestProgramWorksThroughItsSidecar(t *testing.T) {
	p := startProgram(t, nil)
	own := bookingapi.GetRequest{BookingID: "b1", UserID: "u1"}
	t.Run("create, get, confirm, list and cancel", func(t *testing.T) {
		created := kit.Call(t, p.Client, bookingapi.CreateBooking, request("b1", "", 2))
		if b := created.Booking; b.ID != "b1" || b.Status != bookingapi.StatusPending || b.TotalPrice.Amount != 5000 || created.Replayed {
			t.Errorf("got %+v, want a new pending booking b1 for 5000", created)
		}
		if got := kit.Call(t, p.Client, bookingapi.GetBooking, own); got != created.Booking {
			t.Errorf("got %+v, want %+v", got, created.Booking)
		}
		_, err := rpc.Call(t.Context(), p.Client, bookingapi.GetBooking, bookingapi.GetRequest{BookingID: "b1", UserID: "u2"})
		if apperr.From(err).Reason != bookingapi.ReasonNotFound {
			t.Errorf("get as another user: got %v, want %s", err, bookingapi.ReasonNotFound)
		}
		for range 2 {
			got := kit.Call(t, p.Client, bookingapi.ConfirmBooking, bookingapi.ConfirmRequest{BookingID: "b1", UserID: "u1"})
			if got.Status != bookingapi.StatusConfirmed {
				t.Errorf("confirm: got %+v, want it confirmed", got)
			}
		}
		listed := kit.Call(t, p.Client, bookingapi.ListBookings, bookingapi.ListRequest{UserID: "u1", Count: true})
		if len(listed.Items) != 1 || listed.Items[0].ID != "b1" || listed.Total == nil || *listed.Total != 1 {
			t.Errorf("list: got %+v, want b1 and a total of 1", listed)
		}
		for range 2 {
			if got := kit.Call(t, p.Client, bookingapi.CancelBooking, own); got.Status != bookingapi.StatusCancelled {
				t.Errorf("cancel: got %+v, want it cancelled", got)
			}
		}
		if n := p.eventApp.heldSeats(); n != 0 {
			t.Errorf("got %d held seats, want 0", n)
		}
		p.awaitPublished(t)
	})
	t.Run("concurrent duplicates create one booking", func(t *testing.T) {
		reasons := kit.Outcomes(20, func(int) error {
			_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, request("", "key", 1))
			return err
		})
		if reasons["none"] != 20 || p.eventApp.heldSeats() != 1 {
			t.Errorf("got reasons %v and %d held seats, want 20 successes and 1 seat", reasons, p.eventApp.heldSeats())
		}
		if retry := kit.Call(t, p.Client, bookingapi.CreateBooking, request("", "key", 1)); !retry.Replayed {
			t.Errorf("got %+v, want it replayed", retry)
		}
		_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, request("", "key", 2))
		if apperr.From(err).Reason != bookingapi.ReasonMismatch {
			t.Errorf("key reused with another body: got %v, want %s", err, bookingapi.ReasonMismatch)
		}
	})
	t.Run("concurrent creates never oversell", func(t *testing.T) {
		reasons := kit.Outcomes(60, func(i int) error {
			req := request(fmt.Sprint("racer", i), "", 1)
			req.UserID = fmt.Sprint("u", i%7)
			_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, req)
			return err
		})
		if reasons["none"] != capacity-1 || reasons[eventapi.ReasonSoldOut] != 60-(capacity-1) {
			t.Errorf("got reasons %v, want %d successes and the rest sold out", reasons, capacity-1)
		}
		p.awaitPublished(t)
	})
	t.Run("facts are published again to a recreated stream", func(t *testing.T) { testStreamLost(t, p) })
	t.Run("a cancelled event cancels its bookings", func(t *testing.T) { testEventCancelled(t, p) })
	t.Run("the live bookings of an event are reconciled", func(t *testing.T) {
		if page := kit.Call(t, p.Client, bookingapi.ReconcileBookings, bookingapi.ReconcileRequest{EventID: "gala", Limit: 1}); len(page.Bookings) != 0 || page.Next != "" {
			t.Errorf("got %+v, want no live booking", page)
		}
		b := kit.Call(t, p.Client, bookingapi.CreateBooking, request("late", "", 1)).Booking
		page := kit.Call(t, p.Client, bookingapi.ReconcileBookings, bookingapi.ReconcileRequest{EventID: "gala", Limit: 1})
		if len(page.Bookings) != 1 || page.Bookings[0].BookingID != b.ID || page.Bookings[0].HoldID == "" || page.Next != "" {
			t.Errorf("got %+v, want the booking %s", page, b.ID)
		}
	})
	t.Run("a hold without a booking is not live", func(t *testing.T) {
		if s := kit.Call(t, p.Client, bookingapi.SettleHolds, []bookingapi.SettleRequest{{HoldID: "unknown_1_f"}}); s[0].Data == nil || s[0].Data.Live {
			t.Errorf("got %+v, want not live", s)
		}
	})
}

// bus returns a publisher to the event app's topic.
func (p program) bus(t *testing.T) *daprpub.Publisher {
	t.Helper()
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "dapr-api-token", apiToken), method, req, reply, cc, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return daprpub.NewPublisher(dapr.NewClientWithConnection(conn), daprpub.Component, eventapi.Topic)
}

// testStreamLost announces that the stream of the app's facts was recreated, and checks
// that the app publishes again the facts that it sent before.
func testStreamLost(t *testing.T, p program) {
	recreated := contract.At(time.Now())
	data, err := json.Marshal(streams.Made{Streams: map[string]contract.Time{
		bookingapi.Topic: recreated,
		eventapi.Topic:   contract.At(recreated.Add(time.Hour)), // the stream of another app
	}})
	if err != nil {
		t.Fatal(err)
	}
	sentBefore := func() int64 {
		n, err := p.bookings.CountDocuments(t.Context(), bson.D{{Key: "outbox.sentAt", Value: bson.D{{Key: "$lt", Value: recreated.Time}}}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if sentBefore() == 0 {
		t.Fatal("no fact was published before the stream was recreated")
	}
	bus := p.bus(t)
	kit.Eventually(t, timeout, "all facts are published again", func() bool {
		if err := bus.Publish(t.Context(), outbox.Record{ID: "s1", Type: streams.FactMade, Data: data}); err != nil {
			t.Fatal(err)
		}
		return sentBefore() == 0
	})
	var rewound struct{ Since time.Time }
	if err := p.bookings.Database().Collection("outboxes").FindOne(t.Context(), bson.D{}).Decode(&rewound); err != nil {
		t.Fatal(err)
	}
	if rewound.Since.Before(recreated.Time) || rewound.Since.After(recreated.Add(30*time.Minute)) {
		t.Errorf("got facts before %s published again, want those before %s", rewound.Since, recreated)
	}
}

// testEventCancelled publishes the event app's fact that the event is cancelled, and
// checks that the bookings are cancelled and their seats released.
func testEventCancelled(t *testing.T, p program) {
	if p.eventApp.heldSeats() == 0 {
		t.Fatal("the event has no bookings to cancel")
	}
	setCancelled := func(is bool) {
		p.eventApp.mu.Lock()
		defer p.eventApp.mu.Unlock()
		p.eventApp.isCancelled = is
	}
	setCancelled(true)
	defer setCancelled(false)
	data, err := json.Marshal(eventapi.Fact{MessageID: "f1", Version: 2, Resource: eventapi.Event{ID: "gala", Status: eventapi.StatusCancelled}})
	if err != nil {
		t.Fatal(err)
	}
	bus := p.bus(t)
	kit.Eventually(t, timeout, "all bookings are cancelled", func() bool {
		// Publish repeatedly, like the event app's sweep: this broker does not keep
		// messages for later subscribers.
		if err := bus.Publish(t.Context(), outbox.Record{ID: "f1", Type: eventapi.FactCancelled, Subject: "gala", Data: data}); err != nil {
			t.Fatal(err)
		}
		live, err := p.bookings.CountDocuments(t.Context(), bson.D{{Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{"pending", "confirmed"}}}}})
		return err == nil && live == 0 && p.eventApp.heldSeats() == 0
	})
	listed := kit.Call(t, p.Client, bookingapi.ListBookings, bookingapi.ListRequest{Status: bookingapi.StatusCancelled})
	if reason := listed.Items[0].CancelReason; reason != bookingapi.CancelledWithEvent {
		t.Errorf("got reason %q, want %q", reason, bookingapi.CancelledWithEvent)
	}
}

func TestSweepExpiresUnconfirmedBookings(t *testing.T) {
	p := startProgram(t, map[string]string{"BOOKING_TTL": "1s"})
	kit.Call(t, p.Client, bookingapi.CreateBooking, request("b1", "", 2))
	kit.Eventually(t, timeout, "the booking is expired", func() bool {
		got := kit.Call(t, p.Client, bookingapi.GetBooking, bookingapi.GetRequest{BookingID: "b1", UserID: "u1"})
		return got.Status == bookingapi.StatusExpired
	})
	kit.Eventually(t, timeout, "the seats are released", func() bool { return p.eventApp.heldSeats() == 0 })
	p.awaitPublished(t)
}

func TestPendingTicketsOfAUserAreLimitedByTheSetting(t *testing.T) {
	p := startProgram(t, map[string]string{"MAX_PENDING_PER_USER": "10"})
	kit.Call(t, p.Client, bookingapi.CreateBooking, request("b1", "", 10))
	for _, key := range []string{"", "key"} {
		_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, request("b2", key, 1))
		if apperr.From(err).Reason != bookingapi.ReasonPendingLimit {
			t.Errorf("key %q: got %v, want %s", key, err, bookingapi.ReasonPendingLimit)
		}
	}
	if n := p.eventApp.heldSeats(); n != 10 {
		t.Errorf("got %d held seats, want the 10 of the first booking", n)
	}
	kit.Call(t, p.Client, bookingapi.ConfirmBooking, bookingapi.ConfirmRequest{BookingID: "b1", UserID: "u1"})
	kit.Call(t, p.Client, bookingapi.CreateBooking, request("b3", "key", 10))
}

func TestRunRejectsAnEmptyEnvironment(t *testing.T) {
	if err := run(t.Context(), func(string) string { return "" }, t.Output()); err == nil {
		t.Fatal("got no error, want one that lists the missing variables")
	}
}
