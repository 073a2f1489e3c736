package transport_test

import (
	"log/slog"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/apps/auth/internal/transport"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
)

func TestEveryDeclaredOperationIsServed(t *testing.T) {
	srv := rpc.NewServer(rpc.ServerConfig{
		App: authapi.App, Token: "test-token", Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider(),
	})
	transport.Bind(srv, nil) // no operation is called
	if got, want := srv.Methods(), kit.DeclaredOperations(t, "../../../..", "authapi"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
