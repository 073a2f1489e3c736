package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
)

var greetEach = rpc.Op[[]greeting, []rpc.Answer[greeted]]{App: "echo", Method: "echo.greet_each", Timeout: 5 * time.Second}

var errUnknownName = apperr.New(apperr.Conflict, "echo.unknown_name", "The name is unknown.")

// eachApp returns a server of greetEach and its log. The name in a request selects its
// outcome.
func eachApp() (*rpc.Server, *bytes.Buffer) {
	var log bytes.Buffer
	srv := rpc.NewServer(rpc.ServerConfig{
		App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	rpc.HandleEach(srv, greetEach, func(_ context.Context, all []greeting) ([]rpc.Result[greeted], error) {
		var results []rpc.Result[greeted]
		for _, g := range all {
			r := rpc.Result[greeted]{Data: greeted{Text: "hello " + g.Name}}
			switch g.Name {
			case "refused":
				r = rpc.Result[greeted]{Err: errUnknownName}
			case "busy":
				r = rpc.Result[greeted]{Err: apperr.Overloaded(time.Second)}
			case "fails":
				r = rpc.Result[greeted]{Err: errors.New("the cause")}
			case "refuse all":
				return nil, errUnknownName
			case "too few results":
				return results, nil
			}
			results = append(results, r)
		}
		return results, nil
	})
	return srv, &log
}

func callEach(t *testing.T, srv *rpc.Server, names ...string) ([]rpc.Result[greeted], error) {
	t.Helper()
	var all []greeting
	for _, name := range names {
		all = append(all, greeting{Name: name})
	}
	return rpc.CallEach(t.Context(), sidecar(t, srv), greetEach, all)
}

// A request that is refused or fails does not affect the others. The app logs the causes
// of failures.
func TestCallEachReturnsAResultForEachRequest(t *testing.T) {
	srv, log := eachApp()
	got, err := callEach(t, srv, "Ada", "refused", "fails", "Bob")
	if err != nil || len(got) != 4 {
		t.Fatalf("got %v, %v, want four results", got, err)
	}
	if got[0].Data.Text != "hello Ada" || got[0].Err != nil || got[3].Data.Text != "hello Bob" || got[3].Err != nil {
		t.Errorf("got %v, want greetings of Ada and Bob", got)
	}
	if !errors.Is(got[1].Err, errUnknownName) || apperr.From(got[2].Err).Code != apperr.Internal {
		t.Errorf("errors: got %v and %v, want %v and an internal error", got[1].Err, got[2].Err, errUnknownName)
	}
	if text := log.String(); !strings.Contains(text, "the cause") || strings.Contains(text, "echo.unknown_name") {
		t.Errorf("log: got %q, want the failure only", text)
	}
}

// If every request fails, the operation fails, so that a circuit breaker counts it. A
// refusal of every request is not a failure, and neither is an overload.
func TestCallEachFailsIfEveryRequestFails(t *testing.T) {
	srv, log := eachApp()
	if got, err := callEach(t, srv, "fails", "fails"); err == nil || apperr.From(err).Code != apperr.Internal {
		t.Errorf("all fail: got %v, %v, want an internal error", got, err)
	}
	if !strings.Contains(log.String(), "the cause") {
		t.Errorf("log: got %q, want the cause", log)
	}
	if got, err := callEach(t, srv, "refused", "refused"); err != nil || len(got) != 2 || !errors.Is(got[1].Err, errUnknownName) {
		t.Errorf("all are refused: got %v, %v, want two refusals", got, err)
	}
	got, err := callEach(t, srv, "busy", "busy")
	if err != nil || len(got) != 2 || !apperr.From(got[0].Err).IsOverloaded() || !apperr.From(got[1].Err).IsOverloaded() {
		t.Errorf("all are overloaded: got %v, %v, want two overloaded results", got, err)
	}
	if got, err := callEach(t, srv, "refuse all"); !errors.Is(err, errUnknownName) {
		t.Errorf("refused as a whole: got %v, %v, want %v", got, err, errUnknownName)
	}
	if got, err := callEach(t, srv, "Ada", "too few results"); err == nil || apperr.From(err).Code != apperr.Internal {
		t.Errorf("one result for two requests: got %v, %v, want an internal error", got, err)
	}
}
