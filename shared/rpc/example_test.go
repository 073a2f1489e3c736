package rpc_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/rpc"
)

// An operation is declared once, by the app that serves it.
var divide = rpc.Op[division, quotient]{App: "calculator", Method: "calculator.divide", Timeout: time.Second}

type division struct {
	Dividend int `json:"dividend"`
	Divisor  int `json:"divisor"`
}

type quotient struct {
	Value int `json:"value"`
}

// The app serves the operation with Handle. Other programs call it with Call, through
// their sidecars. A refusal arrives as the same *apperr.Error.
func ExampleCall() {
	srv := rpc.NewServer(rpc.ServerConfig{
		App: "calculator", Token: "app-token", Log: slog.Default(), Tracing: noop.NewTracerProvider(),
	})
	rpc.Handle(srv, divide, func(_ context.Context, d division) (quotient, error) {
		if d.Divisor == 0 {
			return quotient{}, apperr.New(apperr.Unprocessable, "calculator.zero", "The divisor must not be 0.")
		}
		return quotient{d.Dividend / d.Divisor}, nil
	})

	// This handler stands in for the two sidecars.
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/v1.0/invoke/calculator/method")
		r.Header.Set("dapr-api-token", "app-token")
		srv.ServeHTTP(w, r)
	}))
	defer sidecar.Close()
	client := rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL, Token: "api-token", Tracing: noop.NewTracerProvider()})
	defer client.Close()

	fmt.Println(rpc.Call(context.Background(), client, divide, division{Dividend: 42, Divisor: 6}))
	fmt.Println(rpc.Call(context.Background(), client, divide, division{Dividend: 42, Divisor: 0}))
	// Output:
	// {7} <nil>
	// {0} unprocessable calculator.zero: The divisor must not be 0.
}
