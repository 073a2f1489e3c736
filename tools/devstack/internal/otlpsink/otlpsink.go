// Package otlpsink accepts traces over OTLP/gRPC and discards them.
//
// It listens where a trace collector is going to. Without it, exporters would
// log a failure for each batch, and their connections would back off: gRPC waits
// up to two minutes between attempts, so traces would begin that long after the
// collector is there. When the sink is closed, the exporters' connections break
// and are made again at once.
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
	// Of five bytes, one says that the message is not compressed and four that
	// its length is zero.
	_, _ = w.Write(make([]byte, 5))
	w.Header().Set("Grpc-Status", "0")
}
