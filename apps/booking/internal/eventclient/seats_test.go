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

	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/apps/booking/internal/eventclient"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
)

// eventApp is a fake event app. It sends each batch of reserves to arrived, each batch of
// releases to released, and then waits until resume is closed. The unit price of a
// reservation is its quantity. A request about more than 99 seats is refused as sold out.
type eventApp struct {
	arrived  chan []eventapi.ReserveRequest
	released chan []eventapi.ReleaseRequest
	resume   chan struct{}
	err      error // if not nil, the result of every batch
}

func newEventApp() *eventApp {
	return &eventApp{
		arrived: make(chan []eventapi.ReserveRequest, 10), released: make(chan []eventapi.ReleaseRequest, 10), resume: make(chan struct{}),
	}
}

var errSoldOut = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "No tickets are left.")

func (e *eventApp) reserve(_ context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	e.arrived <- reqs
	<-e.resume
	if e.err != nil {
		return nil, e.err
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

func (e *eventApp) release(_ context.Context, reqs []eventapi.ReleaseRequest) ([]rpc.Result[rpc.Nothing], error) {
	e.released <- reqs
	<-e.resume
	results := make([]rpc.Result[rpc.Nothing], len(reqs))
	for i, req := range reqs {
		if req.Quantity > 99 {
			results[i].Err = errSoldOut
		}
	}
	return results, e.err
}

// newSeats returns a Seats that calls e.
func (e *eventApp) newSeats(t *testing.T) *eventclient.Seats {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{App: eventapi.App, Token: "app", Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider()})
	rpc.HandleEach(srv, eventapi.ReserveSeats, e.reserve)
	rpc.HandleEach(srv, eventapi.ReleaseSeats, e.release)
	mux := http.NewServeMux()
	mux.HandleFunc("/v1.0/invoke/"+eventapi.App+"/method/{method}", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("dapr-api-token", "app")
		r.URL.Path = "/" + r.PathValue("method")
		srv.ServeHTTP(w, r)
	})
	sidecar := httptest.NewServer(mux)
	t.Cleanup(sidecar.Close)
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL, Token: "api", Tracing: noop.NewTracerProvider()})
	t.Cleanup(client.Close)
	return eventclient.NewSeats(client, noopmetric.NewMeterProvider())
}

// hold returns a request to reserve a hold.
func hold(id, event string, quantity int64) eventapi.ReserveRequest {
	return eventapi.ReserveRequest{HoldID: id, EventID: event, UserID: "u", Quantity: quantity, ExpiresAt: contract.At(time.Now().Add(time.Hour))}
}

// Reserves of one event that arrive while a batch is running form the next batch, and
// each gets its own result. Reserves of another event do not wait.
func TestConcurrentReservesOfAnEventShareABatch(t *testing.T) {
	e := newEventApp()
	seats := e.newSeats(t)
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
	if got := <-e.arrived; len(got) != 1 {
		t.Errorf("got a first batch of %d, want 1", len(got))
	}
	reserve(hold("z_1_x", "other", 9), nil)
	if got := <-e.arrived; len(got) != 1 || got[0].EventID != "other" {
		t.Errorf("got batch %+v, want one reserve of the other event", got)
	}
	for i := range 5 {
		reserve(hold(fmt.Sprintf("b%d_1_x", i), "gala", int64(2+i)), nil)
	}
	reserve(hold("c_1_x", "gala", 100), errSoldOut)
	waitQueued(t, seats, 6)
	close(e.resume)
	wg.Wait()
	if got := <-e.arrived; len(got) != 6 {
		t.Errorf("got a batch of %d, want 6", len(got))
	}
}

// If a batch fails, each of its members gets a failure and never a refusal. An overload is
// one for each member. Duplicates of one reserve are in different batches.
func TestFailedBatchIsAFailureForEachMember(t *testing.T) {
	isInternal := func(e *apperr.Error) bool { return e.Code == apperr.Internal }
	for name, tt := range map[string]struct {
		err  error
		want func(*apperr.Error) bool
	}{
		"internal error":       {errors.New("a bug"), isInternal},
		"refused as malformed": {apperr.InvalidFields(apperr.Field{Field: "data"}), isInternal},
		"overloaded":           {apperr.Overloaded(time.Second), (*apperr.Error).IsOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEventApp()
			e.err = tt.err
			seats := e.newSeats(t)
			var wg sync.WaitGroup
			reserve := func(id string) {
				wg.Go(func() {
					if _, err := seats.ReserveSeats(t.Context(), hold(id, "gala", 1)); !tt.want(apperr.From(err)) {
						t.Errorf("%s: got %v, want the class of %v", id, err, tt.err)
					}
				})
			}
			reserve("a_1_x")
			<-e.arrived
			for _, id := range []string{"b_1_x", "c_1_x", "b_1_x", "d_1_x"} {
				reserve(id)
			}
			waitQueued(t, seats, 4)
			close(e.resume)
			wg.Wait()
			if first, second := <-e.arrived, <-e.arrived; len(first) != 3 || len(second) != 1 || second[0].HoldID != "b_1_x" {
				t.Errorf("got batches %+v and %+v, want b, c and d, then the duplicate of b", first, second)
			}
		})
	}
}

// A reserve waits for the running batch for at most a second.
func TestReserveDoesNotWaitForAHangingBatch(t *testing.T) {
	e := newEventApp()
	seats := e.newSeats(t)
	var wg sync.WaitGroup
	for _, id := range []string{"a_1_x", "b_1_x"} {
		wg.Go(func() {
			if _, err := seats.ReserveSeats(t.Context(), hold(id, "gala", 1)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
		if got := <-e.arrived; len(got) != 1 || got[0].HoldID != id {
			t.Errorf("got batch %+v, want %s alone", got, id)
		}
	}
	close(e.resume)
	wg.Wait()
}

func releaseOf(id, event string, quantity int64) eventapi.ReleaseRequest {
	return eventapi.ReleaseRequest{HoldID: id, EventID: event, UserID: "u", Quantity: quantity}
}

// Releases of one event that arrive while a batch is running form the next batch, together
// with the lists of other callers that fit. Each release gets its own result.
func TestConcurrentReleasesOfAnEventShareABatch(t *testing.T) {
	e := newEventApp()
	seats := e.newSeats(t)
	var wg sync.WaitGroup
	release := func(want error, reqs ...eventapi.ReleaseRequest) {
		wg.Go(func() {
			errs := seats.ReleaseSeats(t.Context(), reqs)
			if len(errs) != len(reqs) {
				t.Errorf("got %d errors, want %d", len(errs), len(reqs))
			}
			for i, err := range errs {
				if req := reqs[i]; req.Quantity > 99 && !errors.Is(err, want) || req.Quantity <= 99 && err != nil {
					t.Errorf("%s: got %v, want %v", req.HoldID, err, want)
				}
			}
		})
	}
	release(nil, releaseOf("a_1_x", "gala", 1))
	if got := <-e.released; len(got) != 1 {
		t.Errorf("got a first batch of %d, want 1", len(got))
	}
	release(errSoldOut, releaseOf("b_1_x", "gala", 1), releaseOf("c_1_x", "gala", 100), releaseOf("d_1_x", "gala", 1))
	release(nil, releaseOf("e_1_x", "gala", 1))
	release(nil, releaseOf("e_1_x", "gala", 1)) // a duplicate is in another batch
	waitQueued(t, seats, 3)
	close(e.resume)
	wg.Wait()
	if second, third := <-e.released, <-e.released; len(second) != 4 || len(third) != 1 || third[0].HoldID != "e_1_x" {
		t.Errorf("got batches %+v and %+v, want four releases, then the duplicate", second, third)
	}
}

func TestFailedReleaseIsAFailureOfEachHold(t *testing.T) {
	e := newEventApp()
	e.err = apperr.InvalidFields(apperr.Field{Field: "data"})
	close(e.resume)
	for i, err := range e.newSeats(t).ReleaseSeats(t.Context(), []eventapi.ReleaseRequest{releaseOf("a_1_x", "gala", 1), releaseOf("b_1_x", "gala", 1)}) {
		if apperr.From(err).Code != apperr.Internal {
			t.Errorf("release %d: got %v, want an internal error", i, err)
		}
	}
}

// A release delays its caller for a short time only.
func TestReleaseGivesUpWhenTheEventAppHangs(t *testing.T) {
	e := newEventApp()
	seats := e.newSeats(t)
	defer close(e.resume) // before the server closes, which waits for its requests
	began := time.Now()
	errs := seats.ReleaseSeats(t.Context(), []eventapi.ReleaseRequest{releaseOf("a_1_x", "gala", 1)})
	if d := time.Since(began); len(errs) != 1 || apperr.From(errs[0]).Code != apperr.Timeout || d > eventapi.ReleaseSeats.Timeout/2 {
		t.Errorf("got %v after %s, want a timeout long before that of the operation", errs, d)
	}
}

// waitQueued waits until n calls about the gala are queued.
func waitQueued(t *testing.T, seats *eventclient.Seats, n int) {
	t.Helper()
	kit.Eventually(t, 10*time.Second, "the calls are queued", func() error {
		if got := seats.Queued("gala"); got < n {
			return fmt.Errorf("got %d queued calls, want %d", got, n)
		}
		return nil
	})
}
