package otlpsink_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/otlpsink"
	"boxoffice/tools/devstack/internal/ports"
)

// listen returns a sink and its address.
func listen(t *testing.T) (*otlpsink.Sink, string) {
	t.Helper()
	pool := ports.NewPool(ports.SharedDir())
	t.Cleanup(func() { _ = pool.Close() })
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	s, err := otlpsink.Listen(ports.Addr(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, ports.Addr(port)
}

// client returns an HTTP client that speaks HTTP/2 without TLS, as gRPC does.
func client(t *testing.T) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// TestAcceptsTraces sends what gRPC sends for an export: a prefix of five bytes
// and a message.
func TestAcceptsTraces(t *testing.T) {
	_, addr := listen(t)
	c := client(t)
	for _, size := range []int{0, 100, 1 << 20} {
		message := append([]byte{0, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...)
		res, err := c.Post("http://"+addr+"/opentelemetry.proto.collector.trace.v1.TraceService/Export", "application/grpc", bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Equal(body, make([]byte, 5)) {
			t.Errorf("%d bytes: answer %v (%v), want one empty message", size, body, err)
		}
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/grpc") {
			t.Errorf("%d bytes: status %d and content type %q, want 200 and gRPC's", size, res.StatusCode, res.Header.Get("Content-Type"))
		}
		if got := res.Trailer.Get("Grpc-Status"); got != "0" {
			t.Errorf("%d bytes: gRPC status %q, want 0", size, got)
		}
	}
}

// TestCloseFreesTheAddress closes a sink that has a connection.
func TestCloseFreesTheAddress(t *testing.T) {
	s, addr := listen(t)
	res, err := client(t).Post("http://"+addr+"/x", "application/grpc", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := otlpsink.Listen(addr)
	if err != nil {
		t.Fatalf("listen again: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
