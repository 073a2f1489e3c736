package rpc_test

import (
	"context"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
)

// Check returns what the app's check finds, or the malformed fields themselves. It never
// carries out the operation.
func TestCheckCarriesOutNothing(t *testing.T) {
	malformed := []apperr.Field{{Field: "name", Code: "invalid", Message: "must be a string"}}
	for _, found := range []error{nil, apperr.InvalidFields(apperr.Field{Field: "greeting", Code: "required"})} {
		calls := 0
		srv := rpc.NewServer(rpc.ServerConfig{App: "echo", Token: appToken, Tracing: noop.NewTracerProvider(), Log: slog.New(slog.DiscardHandler)})
		rpc.HandleChecked(srv, greet, func(context.Context, greeting) error { return found }, func(context.Context, greeting) (greeted, error) {
			calls++
			return greeted{}, nil
		})
		want := "name"
		if found != nil {
			want = "greeting"
		}
		client := sidecar(t, srv)
		e := apperr.From(rpc.Check(t.Context(), client, greet, greeting{}, malformed))
		if e.Code != apperr.Invalid || len(e.Fields) != 1 || e.Fields[0].Field != want || calls != 0 {
			t.Errorf("got %v with the fields %v and %d calls, want the field %s and no call", e, e.Fields, calls, want)
		}
		if _, err := rpc.Call(t.Context(), client, greet, greeting{}); err != nil || calls != 1 {
			t.Errorf("call: got %v and %d calls, want 1", err, calls)
		}
	}
}
