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

// cannedSidecar starts a sidecar that sends the same reply to every request. It returns a
// client of that sidecar.
func cannedSidecar(t *testing.T, status int, body string) *rpc.Client {
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

func TestForeignRepliesAreClassified(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       apperr.Code
	}{
		{"open breaker", `{"errorCode":"ERR_DIRECT_INVOKE","message":"circuit breaker is open"}`, 500, apperr.Unavailable},
		{"app not ready", `{"errorCode":"ERR_DIRECT_INVOKE","message":"app is not in a healthy state"}`, 500, apperr.Unavailable},
		{"timed out in the sidecar", "", 504, apperr.Timeout},
		{"wrong API token", "invalid api token", 401, apperr.Internal},
		{"denied call", `{"errorCode":"ERR_DIRECT_INVOKE","message":"access control policy has denied access"}`, 403, apperr.Internal},
		{"unknown operation", "404 page not found", 404, apperr.Internal},
		{"no envelope", `{"text":"hello"}`, 200, apperr.Internal},
		{"reply to another message", `{"messageId":"another","data":{"text":"hello"}}`, 200, apperr.Internal},
		{"empty body", "", 200, apperr.Internal},
		{"too large", strings.Repeat(" ", 5<<20), 200, apperr.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rpc.Call(t.Context(), cannedSidecar(t, tt.status, tt.body), greet, greeting{})
			got, ok := errors.AsType[*apperr.Error](err)
			if !ok || got.Code != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if ok && strings.Contains(got.Message, "ERR_") {
				t.Errorf("message: got %q, want none of the sidecar's text", got.Message)
			}
		})
	}
}

// A malformed reply of an app may contain secrets. A reply with an error status but
// without an envelope is from the sidecar, so it may be quoted.
func TestMalformedRepliesOfAppsAreNotQuoted(t *testing.T) {
	const secret = "a-refresh-token"
	for status, wantQuoted := range map[int]bool{200: false, 202: false, 502: true} {
		_, err := rpc.Call(t.Context(), cannedSidecar(t, status, `{"messageId":"another","data":{"text":"`+secret+`"}}`), greet, greeting{})
		if err == nil || strings.Contains(err.Error(), secret) != wantQuoted {
			t.Errorf("status %d: got %v, want the reply quoted: %v", status, err, wantQuoted)
		}
	}
}

func TestCallWithoutASidecarIsUnavailable(t *testing.T) {
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: "http://127.0.0.1:1", Token: apiToken, Tracing: noop.NewTracerProvider()})
	_, err := rpc.Call(t.Context(), client, greet, greeting{})
	if got := apperr.From(err).Code; got != apperr.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestOperationsEndWithTheirTimeoutNotWithTheCaller(t *testing.T) {
	brief := rpc.Op[greeting, greeted]{App: "echo", Method: "echo.brief", Timeout: 30 * time.Millisecond}
	t.Run("timeout of the caller", func(t *testing.T) {
		release := make(chan struct{})
		srv, _ := app(func(context.Context, greeting) (greeted, error) { <-release; return greeted{}, nil })
		client := sidecar(t, srv)
		t.Cleanup(func() { close(release) }) // before the sidecar closes, which waits for its calls
		slow := greet
		slow.Timeout = brief.Timeout
		_, err := rpc.Call(t.Context(), client, slow, greeting{})
		if got := apperr.From(err).Code; got != apperr.Timeout {
			t.Errorf("got %v, want timeout", err)
		}
	})
	t.Run("timeout of the app", func(t *testing.T) {
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
	t.Run("caller disconnects", func(t *testing.T) {
		started, ended := make(chan struct{}), make(chan error, 1)
		srv, _ := app(func(ctx context.Context, _ greeting) (greeted, error) {
			close(started)
			select {
			case <-ctx.Done():
				ended <- ctx.Err()
			case <-time.After(50 * time.Millisecond):
				ended <- nil
			}
			return greeted{}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		client := sidecar(t, srv)
		go func() { <-started; cancel() }()
		_, _ = rpc.Call(ctx, client, greet, greeting{})
		if err := <-ended; err != nil {
			t.Errorf("context of the operation: got %v, want nil", err)
		}
	})
}

func TestServerRefusesMalformedAndUnauthorizedRequests(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, token, body string
		status                          int
		code                            string
	}{
		{"no token", "POST", "/echo.greet", "", `{}`, 401, ""},
		{"wrong token", "POST", "/echo.greet", "guessed", `{}`, 401, ""},
		{"unknown operation", "POST", "/echo.shout", appToken, `{}`, 404, ""},
		{"wrong HTTP method", "GET", "/echo.greet", appToken, "", 405, ""},
		{"malformed JSON", "POST", "/echo.greet", appToken, `{"messageId"`, 200, "invalid"},
		{"no message id", "POST", "/echo.greet", appToken, `{"timestamp":"2026-01-02T03:04:05Z","data":{}}`, 200, "invalid"},
		{"no data", "POST", "/echo.greet", appToken, `{"messageId":"1"}`, 200, "invalid"},
		{"unknown field", "POST", "/echo.greet", appToken, `{"messageId":"1","data":{"nom":"Ada"}}`, 200, "invalid"},
		{"field name in upper case", "POST", "/echo.greet", appToken, `{"messageId":"1","data":{"NAME":"Ada"}}`, 200, "invalid"},
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

func TestRequireTokenRefusesEveryRequestIfTheTokenIsEmpty(t *testing.T) {
	h := rpc.RequireToken("", http.NotFoundHandler())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status: got %d, want %d", w.Code, http.StatusUnauthorized)
	}
}

func TestPanicIsLoggedAndSentAsInternal(t *testing.T) {
	srv, log := app(func(context.Context, greeting) (greeted, error) { panic("out of luck") })
	_, err := rpc.Call(t.Context(), sidecar(t, srv), greet, greeting{})
	if got := apperr.From(err).Code; got != apperr.Internal {
		t.Errorf("got %v, want internal", err)
	}
	if !strings.Contains(log.String(), "out of luck") {
		t.Errorf("log: got %s, want the panic", log)
	}
}

func TestRepliesMayHaveUnknownFields(t *testing.T) {
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
		t.Errorf("got %v, %v, want hello", got, err)
	}
	if !strings.Contains(sent.String(), `"data":{"name":"Ada"}`) || !strings.Contains(sent.String(), `"timestamp":"`) {
		t.Errorf("request: got %s, want the data and a timestamp", sent.String())
	}
}

func TestHandlePanicsOnADuplicateOrForeignOperation(t *testing.T) {
	for name, op := range map[string]rpc.Op[greeting, greeted]{
		"operation served twice":  greet,
		"another app's operation": {App: "shout", Method: "shout.greet", Timeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := app(nil)
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			rpc.Handle(srv, op, nil)
		})
	}
}
