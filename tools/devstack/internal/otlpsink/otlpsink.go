// Package otlpsink accepts traces over OTLP/gRPC and discards them. It takes the
// place of a trace collector that is not ready yet.
//
// If no server listened at the collector's address, exporters would log a failure
// for each batch, and gRPC would back off. It waits up to two minutes between two
// attempts to connect, so traces would begin up to two minutes after the collector
// is ready. When the sink is closed, exporters lose an established connection, which
// gRPC restores without such a wait.
package otlpsink

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Sink is a server that discards traces.
type Sink struct {
	server *http.Server
	done   chan struct{} // closed when the server has ended
}

// Listen serves at addr until Close.
func Listen(addr string) (*Sink, error) {
	l, err := net.Listen("tcp", addr) //nolint:noctx // binding does not wait
	if err != nil {
		return nil, fmt.Errorf("listen for traces: %w", err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &Sink{
		server: &http.Server{
			Handler:           http.HandlerFunc(discard),
			Protocols:         &protocols,
			ReadHeaderTimeout: 10 * time.Second,
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // returns when Close is called
	}()
	return s, nil
}

// Close breaks all connections and returns when the address is free.
func (s *Sink) Close() error {
	err := s.server.Close()
	<-s.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// discard answers a unary gRPC call with an empty message and status OK.
// An empty message is a full success for every OTLP service.
func discard(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	// The prefix of a gRPC message is a byte that is zero if the message is not
	// compressed, and four bytes for its length.
	_, _ = w.Write(make([]byte, 5))
	w.Header().Set("Grpc-Status", "0")
}
