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

var errNobody = apperr.New(apperr.Conflict, "echo.nobody", "Nobody is there.")

// each serves greetEach: the names say what becomes of them.
func each() (*rpc.Server, *bytes.Buffer) {
	var log bytes.Buffer
	srv := rpc.NewServer(rpc.ServerConfig{
		App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	rpc.HandleEach(srv, greetEach, func(_ context.Context, all []greeting) ([]rpc.Result[greeted], error) {
		var results []rpc.Result[greeted]
		for _, g := range all {
			r := rpc.Result[greeted]{Data: greeted{Text: "hello " + g.Name}}
			switch g.Name {
			case "nobody":
				r = rpc.Result[greeted]{Err: errNobody}
			case "fails":
				r = rpc.Result[greeted]{Err: errors.New("the cause")}
			case "none":
				return nil, errNobody
			case "short":
				return results, nil
			}
			results = append(results, r)
		}
		return results, nil
	})
	return srv, &log
}

func call(t *testing.T, srv *rpc.Server, names ...string) ([]rpc.Result[greeted], error) {
	t.Helper()
	var all []greeting
	for _, name := range names {
		all = append(all, greeting{Name: name})
	}
	return rpc.CallEach(t.Context(), sidecar(t, srv), greetEach, all)
}

// One that is refused or fails takes nothing from the others, and its cause is in
// the log of the app.
func TestEachHasItsAnswer(t *testing.T) {
	srv, log := each()
	got, err := call(t, srv, "Ada", "nobody", "fails", "Bob")
	if err != nil || len(got) != 4 {
		t.Fatalf("got %v, %v", got, err)
	}
	if got[0].Data.Text != "hello Ada" || got[0].Err != nil || got[3].Data.Text != "hello Bob" || got[3].Err != nil {
		t.Errorf("got %v", got)
	}
	if !errors.Is(got[1].Err, errNobody) || apperr.From(got[2].Err).Code != apperr.Internal {
		t.Errorf("got %v and %v", got[1].Err, got[2].Err)
	}
	if text := log.String(); !strings.Contains(text, "the cause") || strings.Contains(text, "echo.nobody") {
		t.Errorf("logged %q", text)
	}
}

// What fails for all fails as a call does, so that a circuit breaker sees it; a
// refusal of all is none.
func TestAllFail(t *testing.T) {
	srv, log := each()
	if got, err := call(t, srv, "fails", "fails"); err == nil || apperr.From(err).Code != apperr.Internal {
		t.Errorf("got %v, %v", got, err)
	}
	if !strings.Contains(log.String(), "the cause") {
		t.Errorf("logged %q", log)
	}
	if got, err := call(t, srv, "nobody", "nobody"); err != nil || len(got) != 2 || !errors.Is(got[1].Err, errNobody) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := call(t, srv, "none"); !errors.Is(err, errNobody) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := call(t, srv, "Ada", "short"); err == nil || apperr.From(err).Code != apperr.Internal {
		t.Errorf("one answer for two: got %v, %v", got, err)
	}
}
