package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
)

type greeting struct {
	Name string `json:"name"`
}

type greeted struct {
	Text string `json:"text"`
}

var greet = rpc.Op[greeting, greeted]{App: "echo", Method: "echo.greet", Timeout: 5 * time.Second}

const (
	appToken = "the token of the app"
	apiToken = "the token of the sidecar"
)

// sidecar starts a server that handles invocations as a sidecar does: it checks the
// sidecar's token, replaces it with the app's, and forwards the call to app. It returns a
// client of that server.
func sidecar(t *testing.T, app http.Handler) *rpc.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/v1.0/invoke/echo/method/{method}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("dapr-api-token") != apiToken {
			http.Error(w, "invalid api token", http.StatusUnauthorized)
			return
		}
		if r.ContentLength <= 0 {
			t.Error("the request has no Content-Length, so Dapr would never retry it")
		}
		r.Header.Set("dapr-api-token", appToken)
		r.URL.Path = "/" + r.PathValue("method")
		app.ServeHTTP(w, r)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: srv.URL, Token: apiToken, Tracing: noop.NewTracerProvider()})
	t.Cleanup(client.Close)
	return client
}

// app returns a server of greet and its log.
func app(fn func(context.Context, greeting) (greeted, error)) (*rpc.Server, *bytes.Buffer) {
	var log bytes.Buffer
	srv := rpc.NewServer(rpc.ServerConfig{
		App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	rpc.Handle(srv, greet, fn)
	return srv, &log
}

func TestCallReturnsTheResult(t *testing.T) {
	srv, log := app(func(_ context.Context, g greeting) (greeted, error) {
		return greeted{Text: "hello " + g.Name}, nil
	})
	got, err := rpc.Call(t.Context(), sidecar(t, srv), greet, greeting{Name: "Ada"})
	if want := (greeted{Text: "hello Ada"}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if log.Len() > 0 {
		t.Errorf("log: got %s, want nothing", log)
	}
}

func TestErrorsOfEveryCodeAreSentWithoutTheirCauses(t *testing.T) {
	for _, code := range apperr.Codes() {
		t.Run(string(code), func(t *testing.T) {
			sent := apperr.New(code, "echo.reason", "The message.")
			sent.Fields = []apperr.Field{{Field: "a.b", Code: "too_short", Message: "is too short"}}
			sent.RetryAfter = 7 * time.Second
			srv, log := app(func(context.Context, greeting) (greeted, error) {
				return greeted{}, sent.WithCause(errors.New("the secret cause"))
			})
			_, err := rpc.Call(t.Context(), sidecar(t, srv), greet, greeting{})
			got, ok := errors.AsType[*apperr.Error](err)
			if !ok {
				t.Fatalf("got %v, want an *apperr.Error", err)
			}
			if got.Code != code || got.Reason != sent.Reason || got.Message != sent.Message || got.RetryAfter != sent.RetryAfter {
				t.Errorf("got %+v, want %+v", got, sent)
			}
			if len(got.Fields) != 1 || got.Fields[0] != sent.Fields[0] {
				t.Errorf("fields: got %v, want %v", got.Fields, sent.Fields)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the cause was sent: %v", err)
			}
			if logged := strings.Count(log.String(), "the secret cause"); sent.Failure() != (logged == 1) {
				t.Errorf("the cause was logged %d times with Failure() = %v, want once for failures only", logged, sent.Failure())
			}
		})
	}
}

func TestOnlyFailuresHaveAnErrorStatus(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{apperr.New(apperr.Conflict, "booking.sold_out", ""), 200},
		{apperr.TooManyRequests("", "", time.Second), 200},
		{apperr.Overloaded(time.Second), 200},
		{apperr.Unreachable(errors.New("no database")), 503},
		{apperr.TimedOut(nil), 504},
		{errors.New("unclassified"), 500},
		{context.DeadlineExceeded, 504},
	} {
		srv, _ := app(func(context.Context, greeting) (greeted, error) { return greeted{}, tt.err })
		r := httptest.NewRequest(http.MethodPost, "/echo.greet", strings.NewReader(`{"messageId":"1","timestamp":"2026-01-02T03:04:05Z","data":{}}`))
		r.Header.Set("dapr-api-token", appToken)
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%v: got status %d, want %d", tt.err, w.Code, tt.want)
		}
		if strings.Contains(w.Body.String(), "unclassified") {
			t.Errorf("the cause was sent: %s", w.Body)
		}
	}
}

// An app that passes on the error of an overloaded app must not look like one that has
// failed: its sidecar would retry the call, and count it for the circuit breaker.
func TestOverloadKeepsItsClassOverTwoHops(t *testing.T) {
	overloaded := apperr.Overloaded(7 * time.Second)
	for name, sent := range map[string]error{"the whole request": overloaded, "wrapped": fmt.Errorf("reserve: %w", overloaded)} {
		back, _ := app(func(context.Context, greeting) (greeted, error) { return greeted{}, sent })
		toBack := sidecar(t, back)
		front, log := app(func(ctx context.Context, g greeting) (greeted, error) { return rpc.Call(ctx, toBack, greet, g) })
		var statuses []int
		counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorded := httptest.NewRecorder()
			front.ServeHTTP(recorded, r)
			statuses = append(statuses, recorded.Code)
			w.WriteHeader(recorded.Code)
			_, _ = w.Write(recorded.Body.Bytes())
		})
		_, err := rpc.Call(t.Context(), sidecar(t, counting), greet, greeting{})
		got := apperr.From(err)
		if !got.IsOverloaded() || got.Failure() || apperr.VerdictOf(err) != apperr.Retryable {
			t.Errorf("%s: got %+v, want an overloaded error", name, got)
		}
		if got.Code != apperr.Unavailable || got.Reason != overloaded.Reason || got.Message != overloaded.Message || got.RetryAfter != overloaded.RetryAfter {
			t.Errorf("%s: got %+v, want %+v", name, got, overloaded)
		}
		if !slices.Equal(statuses, []int{200}) {
			t.Errorf("%s: got statuses %v of the first app, want 200", name, statuses)
		}
		if log.Len() > 0 {
			t.Errorf("%s: got log %s, want nothing", name, log)
		}
	}
}

// A program in another language may send a flag that its code does not allow.
func TestOnlyUnavailableErrorsAreOverloaded(t *testing.T) {
	srv := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ MessageID string }
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"messageId":%q,"error":{"code":"internal","reason":"internal","message":"","overloaded":true}}`, req.MessageID)
	})
	_, err := rpc.Call(t.Context(), sidecar(t, srv), greet, greeting{})
	if e := apperr.From(err); e.IsOverloaded() || !e.Failure() {
		t.Errorf("got %+v, want a failure", e)
	}
}
