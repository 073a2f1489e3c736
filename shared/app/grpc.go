package app

import (
	"context"
	"fmt"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"boxoffice/shared/lifecycle"
	"boxoffice/shared/telemetry"
)

// DaprConn returns a connection to the gRPC API of the program's sidecar. Pass it to
// client.NewClientWithConnection of the Dapr SDK. It connects when it is first used, and is
// closed when the program stops.
func (a *App) DaprConn() (*grpc.ClientConn, error) {
	conn, err := dialSidecar(a.sidecarGRPC(), a.DaprToken.Reveal(), a.Tracing)
	if err != nil {
		return nil, err
	}
	a.Use(lifecycle.Part{Name: "dapr", Stop: func(context.Context) error { return conn.Close() }})
	return conn, nil
}

// dialSidecar returns a connection that sends the token and the trace with every call. The
// Dapr SDK cannot dial it: the SDK shares one client per process, and discards the metadata
// that carries the trace.
func dialSidecar(addr, token string, tracing trace.TracerProvider) (*grpc.ClientConn, error) {
	withToken := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "dapr-api-token", token)
	}
	conn, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the sidecar is on the same host or in the same pod
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(tracing),
			otelgrpc.WithPropagators(telemetry.Propagator()),
		)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
			invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
		) error {
			return invoke(withToken(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
			stream grpc.Streamer, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return stream(withToken(ctx), desc, cc, method, opts...)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to the sidecar: %w", err)
	}
	return conn, nil
}
