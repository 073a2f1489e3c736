package daprsub_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

func TestFactsAreAcknowledgedRedeliveredOrDropped(t *testing.T) {
	routes := newRoutes()
	var got daprsub.Event[fact]
	var result error
	daprsub.HandleFacts(routes, "/facts/x", func(_ context.Context, e daprsub.Event[fact]) error {
		got = e
		return result
	})
	const event = `{"specversion":"1.0","id":"f1","type":"x.made","subject":"s","data":{"n":7,"new":"field"}}`
	for _, tt := range []struct {
		name, body string
		result     error
		status     int
		reply      string
	}{
		{"handled", event, nil, 200, `{"status":"SUCCESS"}`},
		{"refused", event, apperr.New(apperr.Invalid, "", "no"), 200, `{"status":"DROP"}`},
		{"failed", event, errors.New("a bug"), 500, ""},
		{"failed because a store is unreachable", event, apperr.Unreachable(errors.New("connection refused")), 500, ""},
		{"malformed JSON", "{", nil, 200, `{"status":"DROP"}`},
		{"data of another type", `{"data":{"n":"seven"}}`, nil, 200, `{"status":"DROP"}`},
		{"too large", strings.Repeat(" ", 2<<20), nil, 500, ""},
	} {
		result = tt.result
		status, reply := send(routes, "POST", "/facts/x", tt.body)
		if status != tt.status || tt.reply != "" && reply != tt.reply {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, reply, tt.status, tt.reply)
		}
	}
	if want := (daprsub.Event[fact]{ID: "f1", Type: "x.made", Data: fact{7}}); got != want {
		t.Errorf("event: got %+v, want %+v", got, want)
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
