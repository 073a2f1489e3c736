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

func do(in daprsub.Routes, method, path, body string) (status int, text string) {
	w := httptest.NewRecorder()
	in.Mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

type fact struct{ N int }

func TestFacts(t *testing.T) {
	in := newRoutes()
	var got daprsub.Event[fact]
	var fail error
	daprsub.HandleFacts(in, "/facts/x", func(_ context.Context, e daprsub.Event[fact]) error {
		got = e
		return fail
	})
	const event = `{"specversion":"1.0","id":"f1","type":"x.made","subject":"s","data":{"n":7,"new":"field"}}`
	for _, tt := range []struct {
		name, body string
		fail       error
		status     int
		text       string
	}{
		{"taken", event, nil, 200, `{"status":"SUCCESS"}`},
		{"refused", event, apperr.New(apperr.Invalid, "", "no"), 200, `{"status":"DROP"}`},
		{"failed", event, errors.New("away"), 500, ""},
		{"lost", event, apperr.Unreachable(errors.New("away")), 500, ""},
		{"nonsense", "{", nil, 200, `{"status":"DROP"}`},
		{"another form", `{"data":{"n":"seven"}}`, nil, 200, `{"status":"DROP"}`},
		{"too large", strings.Repeat(" ", 2<<20), nil, 500, ""},
	} {
		fail = tt.fail
		status, text := do(in, "POST", "/facts/x", tt.body)
		if status != tt.status || tt.text != "" && text != tt.text {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, text, tt.status, tt.text)
		}
	}
	if want := (daprsub.Event[fact]{ID: "f1", Type: "x.made", Data: fact{7}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTicks(t *testing.T) {
	in := newRoutes()
	ran := 0
	began, end := make(chan bool), make(chan bool)
	in.HandleTick("sweep", func(ctx context.Context) error {
		ran++
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("it may run for ever")
		}
		began <- true
		<-end
		return errors.New("away")
	})
	if status, _ := do(in, "OPTIONS", "/sweep", ""); status != 200 {
		t.Errorf("OPTIONS: got %d", status)
	}
	for want := 1; want <= 2; want++ {
		done := make(chan int)
		go func() {
			status, _ := do(in, "POST", "/sweep", "")
			done <- status
		}()
		<-began
		if status, _ := do(in, "POST", "/sweep", ""); status != 200 {
			t.Errorf("a tick that meets another: got %d", status)
		}
		end <- true
		if status := <-done; status != 200 || ran != want {
			t.Errorf("got %d, ran %d times, want %d", status, ran, want)
		}
	}
}
