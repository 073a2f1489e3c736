package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
)

// answering is a sidecar that gives one answer to everything.
func answering(t *testing.T, status int, body string) *rpc.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: srv.URL, Token: apiToken, Tracing: noop.NewTracerProvider()})
	t.Cleanup(client.Close)
	return client
}

func TestAnswersThatAreNotTheApps(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       apperr.Code
	}{
		{"open breaker", `{"errorCode":"ERR_DIRECT_INVOKE","message":"circuit breaker is open"}`, 500, apperr.Unavailable},
		{"app not ready", `{"errorCode":"ERR_DIRECT_INVOKE","message":"app is not in a healthy state"}`, 500, apperr.Unavailable},
		{"timed out in the sidecar", "", 504, apperr.Timeout},
		{"wrong API token", "invalid api token", 401, apperr.Internal},
		{"denied", `{"errorCode":"ERR_DIRECT_INVOKE","message":"access control policy has denied access"}`, 403, apperr.Internal},
		{"no such operation", "404 page not found", 404, apperr.Internal},
		{"no envelope", `{"text":"hello"}`, 200, apperr.Internal},
		{"an answer to another message", `{"messageId":"another","data":{"text":"hello"}}`, 200, apperr.Internal},
		{"nothing", "", 200, apperr.Internal},
		{"too large", strings.Repeat(" ", 5<<20), 200, apperr.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rpc.Call(t.Context(), answering(t, tt.status, tt.body), greet, greeting{})
			got, ok := errors.AsType[*apperr.Error](err)
			if !ok || got.Code != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if ok && strings.Contains(got.Message, "ERR_") {
				t.Errorf("the sidecar's words are shown to clients: %s", got.Message)
			}
		})
	}
}

// What an app answers may hold a secret, whatever is wrong with its envelope.
func TestAnswersOfAppsAreNotQuoted(t *testing.T) {
	const secret = "a-refresh-token"
	for status, quoted := range map[int]bool{200: false, 202: false, 502: true} {
		_, err := rpc.Call(t.Context(), answering(t, status, `{"messageId":"another","data":{"text":"`+secret+`"}}`), greet, greeting{})
		if err == nil || strings.Contains(err.Error(), secret) != quoted {
			t.Errorf("status %d: quoted is not %v: %v", status, quoted, err)
		}
	}
}

func TestNoSidecar(t *testing.T) {
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: "http://127.0.0.1:1", Token: apiToken, Tracing: noop.NewTracerProvider()})
	_, err := rpc.Call(t.Context(), client, greet, greeting{})
	if got := apperr.From(err).Code; got != apperr.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestDeadlines(t *testing.T) {
	brief := rpc.Op[greeting, greeted]{App: "echo", Method: "echo.brief", Timeout: 30 * time.Millisecond}
	t.Run("of the caller", func(t *testing.T) {
		left := make(chan struct{})
		srv, _ := app(func(context.Context, greeting) (greeted, error) { <-left; return greeted{}, nil })
		client := sidecar(t, srv)
		t.Cleanup(func() { close(left) }) // before the sidecar closes, which waits for its calls
		slow := greet
		slow.Timeout = brief.Timeout
		_, err := rpc.Call(t.Context(), client, slow, greeting{})
		if got := apperr.From(err).Code; got != apperr.Timeout {
			t.Errorf("got %v, want timeout", err)
		}
	})
	t.Run("of the app", func(t *testing.T) {
		srv := rpc.NewServer(rpc.ServerConfig{
			App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(), Log: slog.New(slog.DiscardHandler),
		})
		rpc.Handle(srv, brief, func(ctx context.Context, _ greeting) (greeted, error) {
			<-ctx.Done()
			return greeted{}, ctx.Err()
		})
		patient := brief
		patient.Timeout = 10 * time.Second
		_, err := rpc.Call(t.Context(), sidecar(t, srv), patient, greeting{})
		if got := apperr.From(err).Code; got != apperr.Timeout {
			t.Errorf("got %v, want timeout", err)
		}
	})
	t.Run("not of a caller who leaves", func(t *testing.T) {
		began, ended := make(chan struct{}), make(chan error, 1)
		srv, _ := app(func(ctx context.Context, _ greeting) (greeted, error) {
			close(began)
			select {
			case <-ctx.Done():
				ended <- ctx.Err()
			case <-time.After(50 * time.Millisecond):
				ended <- nil
			}
			return greeted{}, nil
		})
		ctx, leave := context.WithCancel(t.Context())
		client := sidecar(t, srv)
		go func() { <-began; leave() }()
		_, _ = rpc.Call(ctx, client, greet, greeting{})
		if err := <-ended; err != nil {
			t.Errorf("the operation was cut off: %v", err)
		}
	})
}

func TestServerRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, token, body string
		status                          int
		code                            string
	}{
		{"no token", "POST", "/echo.greet", "", `{}`, 401, ""},
		{"wrong token", "POST", "/echo.greet", "guessed", `{}`, 401, ""},
		{"no such operation", "POST", "/echo.shout", appToken, `{}`, 404, ""},
		{"another method", "GET", "/echo.greet", appToken, "", 405, ""},
		{"no JSON", "POST", "/echo.greet", appToken, `{"messageId"`, 200, "invalid"},
		{"no message id", "POST", "/echo.greet", appToken, `{"timestamp":"2026-01-02T03:04:05Z","data":{}}`, 200, "invalid"},
		{"no data", "POST", "/echo.greet", appToken, `{"messageId":"1"}`, 200, "invalid"},
		{"unknown field", "POST", "/echo.greet", appToken, `{"messageId":"1","data":{"nom":"Ada"}}`, 200, "invalid"},
		{"field of another case", "POST", "/echo.greet", appToken, `{"messageId":"1","data":{"NAME":"Ada"}}`, 200, "invalid"},
		{"too large", "POST", "/echo.greet", appToken, strings.Repeat(" ", 2<<20), 200, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			called := false
			srv, _ := app(func(context.Context, greeting) (greeted, error) { called = true; return greeted{}, nil })
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("dapr-api-token", tt.token)
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			if called {
				t.Error("the operation was called")
			}
		})
	}
}

func TestServerWithoutTokenRefusesAll(t *testing.T) {
	h := rpc.RequireToken("", http.NotFoundHandler())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d", w.Code)
	}
}

func TestPanicIsInternal(t *testing.T) {
	srv, log := app(func(context.Context, greeting) (greeted, error) { panic("out of luck") })
	_, err := rpc.Call(t.Context(), sidecar(t, srv), greet, greeting{})
	if got := apperr.From(err).Code; got != apperr.Internal {
		t.Errorf("got %v, want internal", err)
	}
	if !strings.Contains(log.String(), "out of luck") {
		t.Errorf("not logged: %s", log)
	}
}

func TestAnswersMayBeNewer(t *testing.T) {
	var sent bytes.Buffer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = sent.ReadFrom(r.Body)
		_, id, _ := strings.Cut(sent.String(), `"messageId":"`)
		id, _, _ = strings.Cut(id, `"`)
		_, _ = w.Write([]byte(`{"messageId":"` + id + `","took":3,"data":{"text":"hello","language":"en"}}`))
	}))
	t.Cleanup(srv.Close)
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: srv.URL, Token: apiToken, Tracing: noop.NewTracerProvider()})
	got, err := rpc.Call(t.Context(), client, greet, greeting{Name: "Ada"})
	if err != nil || got.Text != "hello" {
		t.Errorf("got %v, %v", got, err)
	}
	if !strings.Contains(sent.String(), `"data":{"name":"Ada"}`) || !strings.Contains(sent.String(), `"timestamp":"`) {
		t.Errorf("sent %s", sent.String())
	}
}

func TestHandleRefusesAWrongBinding(t *testing.T) {
	for name, op := range map[string]rpc.Op[greeting, greeted]{
		"bound twice":      greet,
		"of another app's": {App: "shout", Method: "shout.greet", Timeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := app(nil)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			rpc.Handle(srv, op, nil)
		})
	}
}
