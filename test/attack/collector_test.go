package attack_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxCollected bounds the memory of a collector, in bytes. What exceeds it is dropped.
const maxCollected = 64 << 20

// collector receives the traces of all programs and sidecars over OTLP/gRPC and keeps the
// bytes of each batch. Texts appear in them as they are, because exporters do not compress.
type collector struct {
	server  *http.Server
	address string

	mu      sync.Mutex
	size    int
	batches [][]byte
}

// startCollector starts a collector on a free port. The caller must call close.
func startCollector() (*collector, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c := &collector{address: l.Addr().String()}
	c.server = &http.Server{Handler: http.HandlerFunc(c.receive), Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(l) }() // ends with close
	return c, nil
}

func (c *collector) close() { _ = c.server.Close() }

// env returns the variables that make all programs and sidecars send their traces to the
// collector soon.
func (c *collector) env() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.address, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true",
		"OTEL_BSP_SCHEDULE_DELAY=200",
	}
}

// receive answers a unary gRPC call with an empty message and status OK, which is a full
// success.
func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCollected))
	if err != nil {
		return
	}
	c.mu.Lock()
	if c.size += len(body); c.size <= maxCollected {
		c.batches = append(c.batches, body)
	}
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(make([]byte, 5)) // not compressed, and no bytes
	w.Header().Set("Grpc-Status", "0")
}

// has reports whether a batch contains all texts.
func (c *collector) has(texts ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.batches, func(batch []byte) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !bytes.Contains(batch, []byte(text)) })
	})
}

// find returns what surrounds the first occurrence of text, or "" if there is none.
func (c *collector) find(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, batch := range c.batches {
		if i := bytes.Index(batch, []byte(text)); i >= 0 {
			return string(bytes.ToValidUTF8(batch[max(0, i-150):min(len(batch), i+100)], []byte(".")))
		}
	}
	return ""
}
