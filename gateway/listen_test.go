package main_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/test/kit"
)

// connection is a client's connection to the gateway.
type connection struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

// tryDialFrom connects to the gateway from an address of the loopback network.
func tryDialFrom(t *testing.T, from, addr string) (connection, error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all addresses of 127.0.0.0/8")
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return connection{}, err
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return connection{conn, t, bufio.NewReader(conn)}, nil
}

// dialFrom is like tryDialFrom, but fails the test instead of returning an error.
func dialFrom(t *testing.T, from, addr string) connection {
	t.Helper()
	c, err := tryDialFrom(t, from, addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// probeFrom opens a connection and sends a liveness probe.
func probeFrom(t *testing.T, from, addr string) error {
	c, err := tryDialFrom(t, from, addr)
	if err != nil {
		return err
	}
	return c.probe()
}

// probe sends a liveness probe and keeps the connection open.
func (c connection) probe() error {
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode != 200 {
		return errors.New(res.Status)
	}
	return err
}

// wantServed checks that the gateway serves the connection.
func (c connection) wantServed() {
	c.t.Helper()
	if err := c.probe(); err != nil {
		c.t.Errorf("got %v, want the connection served", err)
	}
}

// wantRefused checks that the gateway resets a connection from an address.
func wantRefused(t *testing.T, from, addr string) {
	t.Helper()
	c, err := tryDialFrom(t, from, addr) // fails if the reset arrives early enough
	if err == nil {
		_, err = c.in.ReadByte()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connection from %s: got %v, want a reset", from, err)
	}
}

// Probes have no rate limit, but their connections count.
func TestConnectionsWithProbesAreLimited(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.MaxConnections, c.ConnectionsPerAddress = 3, 2 })
	addr := listen(t, h.server)
	first := dialFrom(t, "127.0.0.20", addr)
	first.wantServed()
	dialFrom(t, "127.0.0.20", addr).wantServed()
	wantRefused(t, "127.0.0.20", addr)
	dialFrom(t, "127.0.0.21", addr).wantServed()
	wantRefused(t, "127.0.0.22", addr)
	first.wantServed()
	_ = first.Close()
	kit.Eventually(t, 10*time.Second, "the closed connection makes room", func() error { return probeFrom(t, "127.0.0.22", addr) })
}

// A stream takes its connection out of the HTTP server, but the connection stays open.
func TestStreamsCountAsConnections(t *testing.T) {
	h := newLiveHarness(t, func(c *main.Config) { c.ConnectionsPerAddress = 1 })
	addr := listen(t, h.server)
	c := dialFrom(t, "127.0.0.20", addr)
	if _, err := io.WriteString(c, "GET "+streamPath+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.Contains(line, "200") {
		t.Fatalf("got %q, %v, want a stream", line, err)
	}
	wantRefused(t, "127.0.0.20", addr)
	_ = c.Close()
	kit.Eventually(t, 10*time.Second, "the end of the stream makes room", func() error { return probeFrom(t, "127.0.0.20", addr) })
}

func TestConnectionsOfTrustedProxiesAreNotLimitedByAddress(t *testing.T) {
	h := newHarness(t, func(c *main.Config) {
		c.ConnectionsPerAddress = 1
		c.Proxies = proxies("127.0.0.20/32")
	})
	addr := listen(t, h.server)
	for range 5 {
		dialFrom(t, "127.0.0.20", addr).wantServed()
	}
	dialFrom(t, "127.0.0.21", addr).wantServed()
	wantRefused(t, "127.0.0.21", addr)
}

// A server that ends for want of a file descriptor takes all its connections with it.
func TestGatewaySurvivesALackOfFiles(t *testing.T) {
	h := newHarness(t)
	addr := listen(t, h.server) // reports an error if the server ends
	before := dialFrom(t, "127.0.0.20", addr)
	before.wantServed()
	giveBack := kit.ExhaustFiles(t)
	// The client's end of the new connection takes the last file.
	giveBack(1)
	during := dialFrom(t, "127.0.0.20", addr)
	kit.Eventually(t, 10*time.Second, "accept has failed", func() bool { return strings.Contains(h.log.String(), "accepting connections failed") })
	before.wantServed()
	giveBack(1 << 20)
	during.wantServed()
	dialFrom(t, "127.0.0.20", addr).wantServed()
}

// The sidecar reaches the gateway on the loopback address, whatever GATEWAY_HOST is.
func TestGatewayAlsoListensOnTheLoopbackAddress(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.0.0.20", "0.0.0.0", "::1", "localhost"} {
		h := newHarness(t, func(c *main.Config) { c.ConnectionsPerAddress = 2 })
		port := strconv.Itoa(kit.FreePort(t))
		ctx, cancel := context.WithCancel(t.Context())
		part := h.server.Part(net.JoinHostPort(host, port))
		if err := part.Start(ctx); err != nil {
			cancel()
			if host == "::1" {
				continue // the machine has no IPv6
			}
			t.Fatalf("%s: %v", host, err)
		}
		done := make(chan error, 1)
		go func() { done <- part.Run(ctx) }()
		for _, at := range []string{"127.0.0.1", host} {
			if at == "0.0.0.0" {
				at = "127.0.0.20"
			}
			res, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + net.JoinHostPort(at, port) + "/healthz")
			if err != nil {
				t.Errorf("listening on %s, asked at %s: %v", host, at, err)
				continue
			}
			_ = res.Body.Close()
		}
		if err := part.Stop(ctx); err != nil {
			t.Errorf("%s: stop: %v", host, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", host, err)
		}
		cancel()
	}
}

func TestGatewayHostPrecedesListenHost(t *testing.T) {
	for _, tt := range []struct{ listen, gateway, want string }{
		{"", "", ""}, {"0.0.0.0", "", "0.0.0.0"}, {"", "192.0.2.1", "192.0.2.1"}, {"127.0.0.1", "0.0.0.0", "0.0.0.0"},
	} {
		getenv := main.WithGatewayNames(func(name string) string {
			return map[string]string{"LISTEN_HOST": tt.listen, "GATEWAY_HOST": tt.gateway, "GATEWAY_PORT": "8090"}[name]
		})
		if got := getenv("LISTEN_HOST"); got != tt.want || getenv("APP_PORT") != "8090" {
			t.Errorf("%+v: got %q, %q", tt, got, getenv("APP_PORT"))
		}
	}
}
