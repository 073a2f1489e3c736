package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprpub"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

const (
	apiToken    = "token that the sidecar requires"
	appToken    = "token that the app requires"
	waitTimeout = 20 * time.Second
)

// bookingApp is a fake booking app.
type bookingApp struct {
	mu       sync.Mutex
	bookings map[string]bookingapi.Settlement // by hold
}

func (b *bookingApp) set(holdID string, s bookingapi.Settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bookings[holdID] = s
}

func (b *bookingApp) settleHolds(_ context.Context, reqs []bookingapi.SettleRequest) ([]rpc.Result[bookingapi.Settlement], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	results := make([]rpc.Result[bookingapi.Settlement], len(reqs))
	for i, req := range reqs {
		results[i].Data = b.bookings[req.HoldID]
	}
	return results, nil
}

// startProxy starts a proxy in front of the sidecar and returns its port. The proxy passes
// invocations of the booking app to b and everything else to the sidecar.
func (b *bookingApp) startProxy(t *testing.T, sidecar string) (port string) {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{
		App: bookingapi.App, Token: appToken, Log: telemetry.NewLog(t.Output(), "booking", "test"), Tracing: noop.NewTracerProvider(),
	})
	rpc.HandleEach(srv, bookingapi.SettleHolds, b.settleHolds)
	target, err := url.Parse(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("POST /v1.0/invoke/booking/method/{method}", func(w http.ResponseWriter, r *http.Request) {
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

// program is the running event app with its sidecar, its database and a fake booking app.
type program struct {
	*rpc.Client
	bookings  *bookingApp
	sidecar   servers.Sidecar
	stopRedis func()
}

func startProgram(t *testing.T) program {
	t.Helper()
	mongo, redisServer := servers.StartMongo(t), servers.StartRedis(t)
	port := kit.FreePort(t)
	subscription, err := os.ReadFile("../../dapr/subscriptions/event-to-booking-facts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{
		AppID: "event", AppPort: port, APIToken: apiToken, AppToken: appToken,
		Components: []string{
			servers.Component(lockStore, "lock.redis", "redisHost", redisServer.Addr(), "redisPassword", "",
				"redisMaxRetries", "-1", "dialTimeout", "100ms", "readTimeout", "200ms", "writeTimeout", "200ms"),
			servers.Component(daprpub.Component, "pubsub.in-memory"),
			servers.Component(daprpub.SweepTick, "bindings.cron", "schedule", "@every 1s", "direction", "input"),
			servers.Component(cleanup, "bindings.cron", "schedule", "@every 1s", "direction", "input"),
			string(subscription),
		},
	})
	env := map[string]string{
		"APP_PORT": strconv.Itoa(port), "DAPR_HTTP_PORT": strconv.Itoa(sidecar.HTTPPort), "DAPR_GRPC_PORT": strconv.Itoa(sidecar.GRPCPort),
		"METRICS_PORT": strconv.Itoa(kit.FreePort(t)), "DAPR_API_TOKEN": apiToken, "APP_API_TOKEN": appToken, "MONGO_URI": mongo.URI, "MONGO_DATABASE": mongo.Database,
	}
	bookings := &bookingApp{bookings: map[string]bookingapi.Settlement{}}
	env["DAPR_HTTP_PORT"] = bookings.startProxy(t, sidecar.URL())
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, func(name string) string { return env[name] }, t.Output()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: got %v, want no error", err)
		}
	})
	kit.Eventually(t, waitTimeout, "the app is ready", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+env["APP_PORT"]+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode/100 == 2
	})
	p := program{
		Client:   rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL(), Token: apiToken, Tracing: noop.NewTracerProvider()}),
		bookings: bookings, sidecar: sidecar, stopRedis: redisServer.Close,
	}
	t.Cleanup(p.Close)
	return p
}

// twoDaysAhead returns the definition of an event that starts in two days.
func twoDaysAhead(name string, capacity int64) eventapi.Definition {
	start := time.Now().Add(48 * time.Hour)
	return eventapi.Definition{Name: name, StartsAt: contract.At(start), EndsAt: contract.At(start.Add(time.Hour)), Capacity: capacity}
}

// publish publishes a fact as the booking app would.
func (p program) publish(t *testing.T, kind string, b bookingapi.Resource) {
	t.Helper()
	data, err := json.Marshal(bookingapi.Fact{MessageID: "m", Timestamp: contract.At(time.Now()), Version: 1, Resource: b})
	if err != nil {
		t.Fatal(err)
	}
	url := p.sidecar.URL() + "/v1.0/publish/" + daprpub.Component + "/" + bookingapi.Topic + "?metadata.cloudevent.type=" + kind
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("dapr-api-token", apiToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("publish: status %d", res.StatusCode)
	}
}

// The program serves the operations, consumes the facts and runs the scheduled jobs
// through its sidecar.
func TestProgram(t *testing.T) {
	p := startProgram(t)
	t.Run("a repeated create returns the event", func(t *testing.T) { testRepeatedCreate(t, p) })
	t.Run("facts of a booking move its seats", func(t *testing.T) { testBookingFacts(t, p) })
	t.Run("concurrent reserves of the last seats", func(t *testing.T) { testLastSeats(t, p) })
	t.Run("an unsold event is deleted after its end", func(t *testing.T) { testCleanup(t, p) })
	t.Run("create without locks while Redis is unreachable", func(t *testing.T) {
		p.stopRedis()
		kit.Call(t, p.Client, eventapi.CreateEvent, eventapi.CreateRequest{EventID: "unlocked", OrganizerID: "boss", Event: twoDaysAhead("Unlocked", 1)})
	})
}

func testRepeatedCreate(t *testing.T, p program) {
	req := eventapi.CreateRequest{EventID: "gala", OrganizerID: "boss", Event: twoDaysAhead("Gala", 10)}
	created := kit.Call(t, p.Client, eventapi.CreateEvent, req)
	if again := kit.Call(t, p.Client, eventapi.CreateEvent, req); again != created {
		t.Errorf("repeated create: got %+v, want %+v", again, created)
	}
	req.EventID = "duplicate"
	_, err := rpc.Call(t.Context(), p.Client, eventapi.CreateEvent, req)
	if apperr.From(err).Reason != eventapi.ReasonDuplicate {
		t.Errorf("same name and start: got %v, want %s", err, eventapi.ReasonDuplicate)
	}
	list := kit.Call(t, p.Client, eventapi.ListEvents, eventapi.ListRequest{})
	if len(list.Items) != 1 || list.Items[0] != created.Event {
		t.Errorf("list: got %+v, want %+v", list.Items, created.Event)
	}
}

func testBookingFacts(t *testing.T, p program) {
	kit.Call(t, p.Client, eventapi.CreateEvent, eventapi.CreateRequest{EventID: "life", OrganizerID: "boss", Event: twoDaysAhead("Life", 10)})
	hold := bookingapi.Resource{HoldID: "b1_1_x", Booking: bookingapi.Booking{
		ID: "b1", EventID: "life", UserID: "u1", Quantity: 2, ExpiresAt: contract.At(time.Now().Add(time.Hour)),
	}}
	reserve(t, p, eventapi.ReserveRequest{
		HoldID: hold.HoldID, EventID: hold.EventID, UserID: hold.UserID, Quantity: hold.Quantity, ExpiresAt: hold.ExpiresAt,
	})
	seats := func(available, held, sold int64) func() bool {
		return func() bool {
			a := kit.Call(t, p.Client, eventapi.GetAvailability, eventapi.GetRequest{EventID: "life"})
			return a.Available == available && a.Held == held && a.Sold == sold
		}
	}
	kit.Eventually(t, waitTimeout, "the seats are held", seats(8, 2, 0))
	p.bookings.set(hold.HoldID, bookingapi.Settlement{Live: true, Confirmed: true})
	// The in-memory broker loses facts that are published before the subscription exists.
	// The test therefore repeats them, which also delivers duplicates.
	kit.Eventually(t, waitTimeout, "the seats are sold", func() bool {
		p.publish(t, bookingapi.FactCreated, hold)
		p.publish(t, bookingapi.FactConfirmed, hold)
		return seats(8, 0, 2)()
	})
	p.publish(t, "booking.unknown", hold)
	p.bookings.set(hold.HoldID, bookingapi.Settlement{Confirmed: true})
	p.publish(t, bookingapi.FactCancelled, hold)
	kit.Eventually(t, waitTimeout, "the seats are back", seats(10, 0, 0))
}

// reserve reserves holds in one request and returns the result of each.
func reserve(t *testing.T, p program, reqs ...eventapi.ReserveRequest) []error {
	t.Helper()
	results, err := rpc.CallEach(t.Context(), p.Client, eventapi.ReserveSeats, reqs)
	if err != nil {
		t.Error(err)
		return slices.Repeat([]error{err}, len(reqs))
	}
	errs := make([]error, len(results))
	for i, r := range results {
		errs[i] = r.Err
	}
	return errs
}

func testLastSeats(t *testing.T, p program) {
	kit.Call(t, p.Client, eventapi.CreateEvent, eventapi.CreateRequest{EventID: "last", OrganizerID: "boss", Event: twoDaysAhead("Last", 10)})
	var results [30][]error
	kit.Concurrently(len(results), func(i int) {
		var pair []eventapi.ReserveRequest
		for j := range 2 {
			pair = append(pair, eventapi.ReserveRequest{
				HoldID: fmt.Sprintf("r%d-%d_1_x", i, j), EventID: "last", UserID: fmt.Sprint("u", i), Quantity: 1,
				ExpiresAt: contract.At(time.Now().Add(time.Hour)),
			})
		}
		results[i] = reserve(t, p, pair...)
	})
	reasons := kit.Reasons(slices.Concat(results[:]...))
	if reasons["none"] != 10 || reasons[eventapi.ReasonSoldOut] != 50 {
		t.Errorf("got %v, want 10 successes and 50 sold out", reasons)
	}
}

func testCleanup(t *testing.T, p program) {
	draft := eventapi.StatusDraft
	past := twoDaysAhead("Past", 1)
	past.StartsAt, past.EndsAt, past.Status = contract.At(time.Now().Add(-2*time.Hour)), contract.At(time.Now().Add(-time.Hour)), &draft
	kit.Call(t, p.Client, eventapi.CreateEvent, eventapi.CreateRequest{EventID: "past", OrganizerID: "boss", Event: past})
	kit.Eventually(t, waitTimeout, "the event is deleted", func() bool {
		_, err := rpc.Call(t.Context(), p.Client, eventapi.GetEvent, eventapi.GetRequest{EventID: "past", ByAdmin: true})
		return apperr.From(err).Reason == eventapi.ReasonNotFound
	})
}

func TestRunRequiresItsSettings(t *testing.T) {
	if err := run(t.Context(), func(string) string { return "" }, t.Output()); err == nil {
		t.Fatal("run without settings: got no error, want one")
	}
}
