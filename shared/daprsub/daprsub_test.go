package daprsub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/daprsub"
)

func newRoutes() daprsub.Routes {
	return daprsub.Routes{Mux: http.NewServeMux(), Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider()}
}

// send sends a request as the sidecar does.
func send(routes daprsub.Routes, method, path, body string) (status int, reply string) {
	w := httptest.NewRecorder()
	routes.Mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

type fact struct{ N int }

// A fact is dropped only if another delivery cannot succeed: the sidecar then moves it to
// the dead letter topic. The log and the hook say why.
func TestFactsAreAcknowledgedRedeliveredOrDropped(t *testing.T) {
	var log bytes.Buffer
	var dropped []string
	routes := newRoutes()
	routes.Log = slog.New(slog.NewTextHandler(&log, nil))
	routes.Dropped = func(_ context.Context, path string) { dropped = append(dropped, path) }
	var got daprsub.Event[fact]
	var result error
	daprsub.HandleFacts(routes, "/facts/x", func(_ context.Context, e daprsub.Event[fact]) error {
		got = e
		return result
	})
	const event = `{"specversion":"1.0","id":"f1","type":"x.made","subject":"s","data":{"n":7,"new":"field"}}`
	const redelivered, refused, malformed = "event handler failed, event will be redelivered", "dropped refused event", "dropped malformed event"
	for _, tt := range []struct {
		name, body string
		result     error
		status     int
		reply      string
		logged     string // the message; empty if nothing is logged
	}{
		{"handled", event, nil, 200, `{"status":"SUCCESS"}`, ""},
		{"refused", event, apperr.New(apperr.Invalid, "", "no"), 200, `{"status":"DROP"}`, refused},
		{"refused by another app", event, fmt.Errorf("call: %w", apperr.New(apperr.NotFound, "event.not_found", "no")), 200, `{"status":"DROP"}`, refused},
		{"failed", event, errors.New("a bug"), 500, "", redelivered},
		{"failed because a store is unreachable", event, apperr.Unreachable(errors.New("connection refused")), 500, "", redelivered},
		{"failed because the record is busy", event, fmt.Errorf("release: %w", apperr.Overloaded(time.Second)), 500, "", redelivered},
		{"failed because of a rate limit", event, apperr.TooManyRequests("", "Slow down.", time.Second), 500, "", redelivered},
		{"malformed JSON", "{", nil, 200, `{"status":"DROP"}`, malformed},
		{"data of another type", `{"data":{"n":"seven"}}`, nil, 200, `{"status":"DROP"}`, malformed},
		{"as large as allowed", event + strings.Repeat(" ", 1<<20-len(event)), nil, 200, `{"status":"SUCCESS"}`, ""},
		{"too large", event + strings.Repeat(" ", 1<<20-len(event)+1), nil, 200, `{"status":"DROP"}`, malformed},
	} {
		result, dropped = tt.result, nil
		log.Reset()
		status, reply := send(routes, "POST", "/facts/x", tt.body)
		if status != tt.status || tt.reply != "" && reply != tt.reply {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, reply, tt.status, tt.reply)
		}
		if text := log.String(); (tt.logged == "") != (text == "") || !strings.Contains(text, tt.logged) {
			t.Errorf("%s: got log %q, want %q", tt.name, text, tt.logged)
		}
		if want := strings.Contains(tt.reply, "DROP"); want != slices.Equal(dropped, []string{"/facts/x"}) {
			t.Errorf("%s: the hook received %q, want a call: %v", tt.name, dropped, want)
		}
	}
	if want := (daprsub.Event[fact]{ID: "f1", Type: "x.made", Data: fact{7}}); got != want {
		t.Errorf("event: got %+v, want %+v", got, want)
	}
}

// A sidecar that still sends an event must receive the answer, or it would deliver the
// event again.
func TestSenderOfATooLargeEventReceivesTheAnswer(t *testing.T) {
	routes := newRoutes()
	daprsub.HandleFacts(routes, "/facts/x", func(context.Context, daprsub.Event[fact]) error { return nil })
	srv := httptest.NewServer(routes.Mux)
	t.Cleanup(srv.Close)
	for range 20 {
		res, err := http.Post(srv.URL+"/facts/x", "application/json", strings.NewReader(strings.Repeat(" ", 4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 200 || string(reply) != `{"status":"DROP"}` {
			t.Fatalf("got %d %s, %v, want it dropped", res.StatusCode, reply, err)
		}
	}
}

// An event that did not arrive completely must be delivered again.
func TestIncompleteEventIsRedelivered(t *testing.T) {
	routes := newRoutes()
	daprsub.HandleFacts(routes, "/facts/x", func(context.Context, daprsub.Event[fact]) error { return nil })
	w := httptest.NewRecorder()
	routes.Mux.ServeHTTP(w, httptest.NewRequest("POST", "/facts/x", iotest.ErrReader(errors.New("connection reset"))))
	if w.Code != 500 {
		t.Errorf("got %d %s, want 500", w.Code, w.Body)
	}
}

func TestTickIsIgnoredWhileTheWorkRuns(t *testing.T) {
	routes := newRoutes()
	runs := 0
	started, end := make(chan bool), make(chan bool)
	routes.HandleTick("sweep", func(ctx context.Context) error {
		runs++
		if _, hasDeadline := ctx.Deadline(); !hasDeadline {
			t.Error("the context of the work has no deadline")
		}
		started <- true
		<-end
		return errors.New("a bug")
	})
	if status, _ := send(routes, "OPTIONS", "/sweep", ""); status != 200 {
		t.Errorf("OPTIONS: got %d, want 200", status)
	}
	for want := 1; want <= 2; want++ {
		done := make(chan int)
		go func() {
			status, _ := send(routes, "POST", "/sweep", "")
			done <- status
		}()
		<-started
		if status, _ := send(routes, "POST", "/sweep", ""); status != 200 {
			t.Errorf("tick while the work runs: got %d, want 200", status)
		}
		end <- true
		if status := <-done; status != 200 || runs != want {
			t.Errorf("tick: got %d and %d runs, want 200 and %d", status, runs, want)
		}
	}
}

func TestLongRunIsFollowedByAnotherOneAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		durations []time.Duration // of the runs; the last one repeats
		want      int
	}{
		"the work is done":         {[]time.Duration{12 * time.Second}, 1},
		"the backlog ends":         {[]time.Duration{25 * time.Second, 13 * time.Second, time.Second}, 3},
		"the backlog does not end": {[]time.Duration{25 * time.Second}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				routes := newRoutes()
				spans := tracetest.NewSpanRecorder()
				routes.Tracing = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
				runs := 0
				routes.HandleTick("sweep", func(ctx context.Context) error {
					took := tt.durations[min(runs, len(tt.durations)-1)]
					runs++
					select {
					case <-time.After(took):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				if status, _ := send(routes, "POST", "/sweep", ""); status != 200 {
					t.Errorf("got %d, want 200", status)
				}
				if runs != tt.want {
					t.Errorf("got %d runs, want %d", runs, tt.want)
				}
				traces := map[string]bool{}
				for _, span := range spans.Ended() {
					traces[span.SpanContext().TraceID().String()] = true
				}
				if len(traces) != tt.want {
					t.Errorf("got %d traces, want one of each run", len(traces))
				}
			})
		})
	}
}

func TestRunsEndWhenTheSidecarHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := newRoutes()
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		routes.HandleTick("sweep", func(ctx context.Context) error {
			runs++
			cancel()
			time.Sleep(20 * time.Second)
			return ctx.Err() // the run that the tick started is not interrupted
		})
		routes.Mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/sweep", nil).WithContext(ctx))
		if runs != 1 {
			t.Errorf("got %d runs, want 1", runs)
		}
	})
}

// Any app's API token allows it to invoke any route of another app.
func TestInvocationsByOtherAppsAreRefused(t *testing.T) {
	routes := newRoutes()
	calls := 0
	daprsub.HandleFacts(routes, "/facts/x", func(context.Context, daprsub.Event[fact]) error { calls++; return nil })
	routes.HandleTick("sweep", func(context.Context) error { calls++; return nil })
	for _, path := range []string{"/facts/x", "/sweep"} {
		for _, header := range []string{"dapr-caller-app-id", "dapr-callee-app-id"} {
			for _, value := range []string{"gateway", ""} {
				r := httptest.NewRequest("POST", path, strings.NewReader(`{"data":{"n":7}}`))
				r.Header.Set(header, value)
				w := httptest.NewRecorder()
				routes.Mux.ServeHTTP(w, r)
				if w.Code != http.StatusForbidden || calls != 0 {
					t.Errorf("%s with %s %q: got %d and %d calls, want 403 and none", path, header, value, w.Code, calls)
				}
			}
		}
	}
	for _, path := range []string{"/facts/x", "/sweep"} {
		if status, _ := send(routes, "POST", path, `{"data":{"n":7}}`); status != http.StatusOK {
			t.Errorf("delivery to %s: got %d, want 200", path, status)
		}
	}
	if calls != 2 {
		t.Errorf("got %d calls, want 2", calls)
	}
}
