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
	"boxoffice/test/servers"
)

const (
	apiToken = "asked for by the sidecar"
	appToken = "shown to the app by the sidecar"
	patience = 20 * time.Second
	capacity = 30
)

// seats is the event app as booking knows it, with one event.
type seats struct {
	mu    sync.Mutex
	holds map[string]int64 // 0 once released
}

func (s *seats) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum()
}

func (s *seats) sum() int64 {
	var n int64
	for _, q := range s.holds {
		n += q
	}
	return n
}

func (s *seats) reserveAll(ctx context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	results := make([]rpc.Result[eventapi.Reservation], len(reqs))
	for i, req := range reqs {
		results[i].Data, results[i].Err = s.reserve(ctx, req)
	}
	return results, nil
}

func (s *seats) reserve(_ context.Context, r eventapi.ReserveRequest) (eventapi.Reservation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	quantity, known := s.holds[r.HoldID]
	switch {
	case r.EventID != "gala":
		return eventapi.Reservation{}, apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	case known && quantity == 0:
		return eventapi.Reservation{}, apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "This hold was released.")
	case !known && s.sum()+r.Quantity > capacity:
		return eventapi.Reservation{}, apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
	}
	s.holds[r.HoldID] = r.Quantity
	return eventapi.Reservation{UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"}}, nil
}

func (s *seats) release(_ context.Context, r eventapi.ReleaseRequest) (rpc.Nothing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[r.HoldID] = 0
	return rpc.Nothing{}, nil
}

func (s *seats) event(context.Context, eventapi.GetRequest) (eventapi.Versioned, error) {
	return eventapi.Versioned{Event: eventapi.Event{ID: "gala", StartsAt: contract.At(time.Now().Add(time.Hour)), Status: eventapi.StatusPublished}}, nil
}

// before stands before the program's sidecar and answers for the event app.
func (s *seats) before(t *testing.T, sidecar string) (port string) {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{
		App: eventapi.App, Token: appToken, Log: telemetry.NewLog(t.Output(), "event", "test"), Tracing: noop.NewTracerProvider(),
	})
	rpc.HandleEach(srv, eventapi.ReserveSeats, s.reserveAll)
	rpc.Handle(srv, eventapi.ReleaseSeats, s.release)
	rpc.Handle(srv, eventapi.GetEvent, s.event)
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
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)
	at, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	return at.Port()
}

// program is booking as it runs, with its sidecar and its database.
type program struct {
	*rpc.Client
	grpc     string // the sidecar's
	seats    *seats
	bookings *mongo.Collection
}

func startProgram(t *testing.T, more map[string]string) program {
	t.Helper()
	db, redis := servers.StartMongo(t), servers.StartRedis(t)
	port := servers.FreePort(t)
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
	p := program{grpc: sidecar.GRPCAddr(), seats: &seats{holds: map[string]int64{}}}
	env := map[string]string{
		"APP_PORT": strconv.Itoa(port), "DAPR_HTTP_PORT": p.seats.before(t, sidecar.URL()), "DAPR_GRPC_PORT": strconv.Itoa(sidecar.GRPCPort),
		"DAPR_API_TOKEN": apiToken, "APP_API_TOKEN": appToken, "MONGO_URI": db.URI, "MONGO_DATABASE": db.Database,
	}
	for name, value := range more {
		env[name] = value
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, func(name string) string { return env[name] }, t.Output()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("booking ended with: %v", err)
		}
	})
	eventually(t, "booking is ready", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("booking ended: %v", err)
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

// eventually waits until a thing is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func call[Req, Res any](t *testing.T, p program, op rpc.Op[Req, Res], req Req) Res {
	t.Helper()
	res, err := rpc.Call(t.Context(), p.Client, op, req)
	if err != nil {
		t.Fatalf("%s: %v", op.Method, err)
	}
	return res
}

func request(id, key string, quantity int64) bookingapi.CreateRequest {
	return bookingapi.CreateRequest{BookingID: id, IdempotencyKey: key, UserID: "u1", EventID: "gala", Quantity: quantity}
}

// unsent counts the facts that were not published.
func (p program) unsent(t *testing.T) int64 {
	t.Helper()
	n, err := p.bookings.CountDocuments(t.Context(), bson.D{{Key: "outbox", Value: bson.D{
		{Key: "$elemMatch", Value: bson.D{{Key: "sentAt", Value: nil}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The whole program through its sidecar.
func TestProgram(t *testing.T) {
	p := startProgram(t, nil)
	mine := bookingapi.GetRequest{BookingID: "b1", UserID: "u1"}
	t.Run("a booking's life", func(t *testing.T) {
		made := call(t, p, bookingapi.CreateBooking, request("b1", "", 2))
		if b := made.Booking; b.ID != "b1" || b.Status != bookingapi.StatusPending || b.TotalPrice.Amount != 5000 || made.Replayed {
			t.Errorf("got %+v", made)
		}
		if got := call(t, p, bookingapi.GetBooking, mine); got != made.Booking {
			t.Errorf("got %+v, want %+v", got, made.Booking)
		}
		_, err := rpc.Call(t.Context(), p.Client, bookingapi.GetBooking, bookingapi.GetRequest{BookingID: "b1", UserID: "u2"})
		if apperr.From(err).Reason != bookingapi.ReasonNotFound {
			t.Errorf("another's: got %v", err)
		}
		for range 2 {
			got := call(t, p, bookingapi.ConfirmBooking, bookingapi.ConfirmRequest{BookingID: "b1", UserID: "u1"})
			if got.Status != bookingapi.StatusConfirmed {
				t.Errorf("got %+v", got)
			}
		}
		listed := call(t, p, bookingapi.ListBookings, bookingapi.ListRequest{UserID: "u1", Count: true})
		if len(listed.Items) != 1 || listed.Items[0].ID != "b1" || listed.Total == nil || *listed.Total != 1 {
			t.Errorf("got %+v", listed)
		}
		for range 2 {
			if got := call(t, p, bookingapi.CancelBooking, mine); got.Status != bookingapi.StatusCancelled {
				t.Errorf("got %+v", got)
			}
		}
		if n := p.seats.held(); n != 0 {
			t.Errorf("%d seats are held", n)
		}
		eventually(t, "all facts are published", func() bool { return p.unsent(t) == 0 })
	})
	t.Run("twins meet", func(t *testing.T) {
		reasons := together(20, func(int) error {
			_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, request("", "key", 1))
			return err
		})
		if reasons["none"] != 20 || p.seats.held() != 1 {
			t.Errorf("got %v, %d seats held", reasons, p.seats.held())
		}
		if again := call(t, p, bookingapi.CreateBooking, request("", "key", 1)); !again.Replayed {
			t.Errorf("got %+v", again)
		}
		_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, request("", "key", 2))
		if apperr.From(err).Reason != bookingapi.ReasonMismatch {
			t.Errorf("another request: got %v", err)
		}
	})
	t.Run("the last seats", func(t *testing.T) {
		reasons := together(60, func(i int) error {
			req := request(fmt.Sprint("racer", i), "", 1)
			req.UserID = fmt.Sprint("u", i%7)
			_, err := rpc.Call(t.Context(), p.Client, bookingapi.CreateBooking, req)
			return err
		})
		if reasons["none"] != capacity-1 || reasons[eventapi.ReasonSoldOut] != 60-(capacity-1) {
			t.Errorf("got %v", reasons)
		}
		eventually(t, "all facts are published", func() bool { return p.unsent(t) == 0 })
	})
	t.Run("a stream that was made anew", func(t *testing.T) { streamLost(t, p) })
	t.Run("a cancelled event", func(t *testing.T) { eventCancelled(t, p) })
	t.Run("a hold without a booking is dead", func(t *testing.T) {
		if s := call(t, p, bookingapi.SettleHold, bookingapi.SettleRequest{HoldID: "nothing_1_f"}); s.Live {
			t.Errorf("got %+v", s)
		}
	})
}

// bus publishes to the event app's topic, as its sidecar would.
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

// streamLost tells that the stream of the app's facts was made anew.
func streamLost(t *testing.T, p program) {
	made := contract.At(time.Now())
	data, err := json.Marshal(streams.Made{Streams: map[string]contract.Time{
		bookingapi.Topic: made,
		eventapi.Topic:   contract.At(made.Add(time.Hour)), // another's
	}})
	if err != nil {
		t.Fatal(err)
	}
	old := func() int64 {
		n, err := p.bookings.CountDocuments(t.Context(), bson.D{{Key: "outbox.sentAt", Value: bson.D{{Key: "$lt", Value: made.Time}}}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if old() == 0 {
		t.Fatal("nothing was sent")
	}
	bus := p.bus(t)
	eventually(t, "all facts are sent again", func() bool {
		if err := bus.Publish(t.Context(), outbox.Record{ID: "s1", Type: streams.FactMade, Data: data}); err != nil {
			t.Fatal(err)
		}
		return old() == 0
	})
	var rewound struct{ Since time.Time }
	if err := p.bookings.Database().Collection("outboxes").FindOne(t.Context(), bson.D{}).Decode(&rewound); err != nil {
		t.Fatal(err)
	}
	if rewound.Since.Before(made.Time) || rewound.Since.After(made.Add(30*time.Minute)) {
		t.Errorf("sent again is what is older than %s, the stream was made at %s", rewound.Since, made)
	}
}

// eventCancelled tells, as the event app does, that the event will not take place.
func eventCancelled(t *testing.T, p program) {
	if p.seats.held() == 0 {
		t.Fatal("nothing is booked")
	}
	data, err := json.Marshal(eventapi.Fact{MessageID: "f1", Version: 2, Resource: eventapi.Event{ID: "gala", Status: eventapi.StatusCancelled}})
	if err != nil {
		t.Fatal(err)
	}
	bus := p.bus(t)
	eventually(t, "all bookings are cancelled", func() bool {
		// Again and again, as the event's sweep does: this broker keeps nothing for
		// those who subscribe later.
		if err := bus.Publish(t.Context(), outbox.Record{ID: "f1", Type: eventapi.FactCancelled, Subject: "gala", Data: data}); err != nil {
			t.Fatal(err)
		}
		live, err := p.bookings.CountDocuments(t.Context(), bson.D{{Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{"pending", "confirmed"}}}}})
		return err == nil && live == 0 && p.seats.held() == 0
	})
	listed := call(t, p, bookingapi.ListBookings, bookingapi.ListRequest{Status: bookingapi.StatusCancelled})
	if reason := listed.Items[0].CancelReason; reason != bookingapi.CancelledWithEvent {
		t.Errorf("got %q", reason)
	}
}

// What nobody confirms expires, and its seats come back.
func TestSweep(t *testing.T) {
	p := startProgram(t, map[string]string{"BOOKING_TTL": "1s"})
	call(t, p, bookingapi.CreateBooking, request("b1", "", 2))
	eventually(t, "expired", func() bool {
		got := call(t, p, bookingapi.GetBooking, bookingapi.GetRequest{BookingID: "b1", UserID: "u1"})
		return got.Status == bookingapi.StatusExpired
	})
	eventually(t, "the seats are back", func() bool { return p.seats.held() == 0 })
	eventually(t, "all facts are published", func() bool { return p.unsent(t) == 0 })
}

// together runs fn so many times at once and counts the reasons of its errors.
func together(n int, fn func(i int) error) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	reasons := map[string]int{}
	for i := range n {
		wg.Go(func() {
			reason := "none"
			if err := fn(i); err != nil {
				reason = apperr.From(err).Reason
			}
			mu.Lock()
			defer mu.Unlock()
			reasons[reason]++
		})
	}
	wg.Wait()
	return reasons
}

func TestRefusesToStart(t *testing.T) {
	if err := run(t.Context(), func(string) string { return "" }, t.Output()); err == nil {
		t.Fatal("started with nothing")
	}
}
