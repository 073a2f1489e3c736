package eventclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/apps/booking/internal/eventclient"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// events is an event app that a test holds up. The price of a hold is its
// quantity.
type events struct {
	came  chan []eventapi.ReserveRequest
	goOn  chan struct{}
	fails error
}

var errSoldOut = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "No tickets are left.")

func (e *events) reserve(_ context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	e.came <- reqs
	<-e.goOn
	if e.fails != nil {
		return nil, e.fails
	}
	results := make([]rpc.Result[eventapi.Reservation], len(reqs))
	for i, req := range reqs {
		results[i].Data.UnitPrice = contract.Money{Amount: req.Quantity, Currency: "EUR"}
		if req.Quantity > 99 {
			results[i].Err = errSoldOut
		}
	}
	return results, nil
}

// seats is what the booking app asks.
func (e *events) seats(t *testing.T) *eventclient.Seats {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{App: eventapi.App, Token: "app", Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider()})
	rpc.HandleEach(srv, eventapi.ReserveSeats, e.reserve)
	mux := http.NewServeMux()
	mux.HandleFunc("/v1.0/invoke/"+eventapi.App+"/method/{method}", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("dapr-api-token", "app")
		r.URL.Path = "/" + r.PathValue("method")
		srv.ServeHTTP(w, r)
	})
	sidecar := httptest.NewServer(mux)
	t.Cleanup(sidecar.Close)
	calls := rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL, Token: "api", Tracing: noop.NewTracerProvider()})
	t.Cleanup(calls.Close)
	return eventclient.NewSeats(calls)
}

func hold(id, event string, quantity int64) eventapi.ReserveRequest {
	return eventapi.ReserveRequest{HoldID: id, EventID: event, UserID: "u", Quantity: quantity, ExpiresAt: contract.At(time.Now().Add(time.Hour))}
}

// Reserves of one event that come while one is under way go in one request, each
// with its own answer; those of another event do not wait.
func TestReservesThatComeTogether(t *testing.T) {
	e := &events{came: make(chan []eventapi.ReserveRequest, 10), goOn: make(chan struct{})}
	seats := e.seats(t)
	var wg sync.WaitGroup
	reserve := func(req eventapi.ReserveRequest, want error) {
		wg.Go(func() {
			got, err := seats.ReserveSeats(t.Context(), req)
			if !errors.Is(err, want) || err == nil && got.UnitPrice.Amount != req.Quantity {
				t.Errorf("%s: got %+v, %v, want %v", req.HoldID, got, err, want)
			}
		})
	}
	reserve(hold("a_1_x", "gala", 1), nil)
	if got := <-e.came; len(got) != 1 {
		t.Errorf("the first came with %d", len(got))
	}
	reserve(hold("z_1_x", "other", 9), nil)
	if got := <-e.came; len(got) != 1 || got[0].EventID != "other" {
		t.Errorf("the other event's: %+v", got)
	}
	for i := range 5 {
		reserve(hold(fmt.Sprintf("b%d_1_x", i), "gala", int64(2+i)), nil)
	}
	reserve(hold("c_1_x", "gala", 100), errSoldOut)
	waiting(t, seats, 6)
	close(e.goOn)
	wg.Wait()
	if got := <-e.came; len(got) != 6 {
		t.Errorf("%d came together", len(got))
	}
}

// What fails for all is told to each, and never as a refusal. Twins are in different
// requests.
func TestAllOfARoundLearnThatItFailed(t *testing.T) {
	for name, fails := range map[string]error{
		"it failed": errors.New("a bug"), "it was badly put": apperr.InvalidFields(apperr.Field{Field: "data"}),
	} {
		t.Run(name, func(t *testing.T) {
			e := &events{came: make(chan []eventapi.ReserveRequest, 10), goOn: make(chan struct{}), fails: fails}
			seats := e.seats(t)
			var wg sync.WaitGroup
			reserve := func(id string) {
				wg.Go(func() {
					if _, err := seats.ReserveSeats(t.Context(), hold(id, "gala", 1)); apperr.From(err).Code != apperr.Internal {
						t.Errorf("%s: got %v", id, err)
					}
				})
			}
			reserve("a_1_x")
			<-e.came
			for _, id := range []string{"b_1_x", "c_1_x", "b_1_x", "d_1_x"} {
				reserve(id)
			}
			waiting(t, seats, 4)
			close(e.goOn)
			wg.Wait()
			if first, second := <-e.came, <-e.came; len(first) != 3 || len(second) != 1 || second[0].HoldID != "b_1_x" {
				t.Errorf("came with %+v, then %+v", first, second)
			}
		})
	}
}

// A reserve waits a second for one that hangs, and no longer.
func TestBehindOneThatHangs(t *testing.T) {
	e := &events{came: make(chan []eventapi.ReserveRequest, 10), goOn: make(chan struct{})}
	seats := e.seats(t)
	var wg sync.WaitGroup
	for _, id := range []string{"a_1_x", "b_1_x"} {
		wg.Go(func() {
			if _, err := seats.ReserveSeats(t.Context(), hold(id, "gala", 1)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
		if got := <-e.came; len(got) != 1 || got[0].HoldID != id {
			t.Errorf("got %+v, want %s", got, id)
		}
	}
	close(e.goOn)
	wg.Wait()
}

func waiting(t *testing.T, seats *eventclient.Seats, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); seats.Waiting("gala") < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", seats.Waiting("gala"), n)
		}
	}
}
