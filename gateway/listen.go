package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// loopback is the address on which the sidecar reaches the gateway.
const loopback = "127.0.0.1"

// listen returns listeners on addr and, if addr does not include the loopback address,
// on its port of that address as well. Their connections are limited together.
func (s *Server) listen(ctx context.Context, addr string) ([]net.Listener, error) {
	var config net.ListenConfig
	first, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{requestListener{s.connections.Wrap(first)}}
	if port, needed := loopbackPort(first.Addr()); needed {
		second, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(int(port))))
		if err != nil {
			_ = first.Close()
			return nil, fmt.Errorf("listen for the sidecar: %w", err)
		}
		listeners = append(listeners, requestListener{s.connections.Wrap(second)})
	}
	return listeners, nil
}

// loopbackPort returns the port of addr. It reports whether a listener on addr does not
// accept connections to the loopback address.
func loopbackPort(addr net.Addr) (port uint16, needed bool) {
	tcp, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return 0, false
	}
	ip := tcp.Addr().Unmap()
	return tcp.Port(), !ip.IsUnspecified() && ip.String() != loopback
}

// serve serves the connections of all listeners until one of them fails or the server is
// shut down.
func (s *Server) serve(listeners []net.Listener) error {
	ended := make(chan error, len(listeners))
	for i, l := range listeners {
		if i > 0 { // Fiber prepares its server for the first listener only
			go func() { ended <- s.fiber.Server().Serve(l) }()
			continue
		}
		go func() { ended <- s.fiber.Listener(l) }()
	}
	return <-ended
}
