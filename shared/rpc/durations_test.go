package rpc_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

func TestDurationsAreMeasuredByOperationAndCode(t *testing.T) {
	meters, err := telemetry.NewMetrics("echo", "echo-1")
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerConfig{
		App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(), Log: slog.New(slog.DiscardHandler), Metrics: meters,
	})
	var result error
	rpc.Handle(srv, greet, func(context.Context, greeting) (greeted, error) {
		if errors.Is(result, errPanic) {
			panic(result)
		}
		return greeted{}, result
	})
	client := sidecar(t, srv)
	for _, result = range []error{nil, nil, apperr.New(apperr.Conflict, "echo.reason", ""), errors.New("defect"), errPanic} {
		_, _ = rpc.Call(t.Context(), client, greet, greeting{})
	}
	got := kit.Scrape(t, meters)
	for code, want := range map[string]float64{"ok": 2, "conflict": 1, "internal": 2} {
		series := `rpc_server_call_duration_seconds_count{rpc_method="echo.greet",rpc_response_status_code="` + code + `"}`
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
}

var errPanic = errors.New("panic")
