package kit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort allocates ports from firstPort to lastPort. The range lies below Linux's
// ephemeral range, so that no outgoing connection takes a port before the server under
// test binds it. It contains no usual port of the product.
const (
	firstPort = 17000
	lastPort  = 19999
)

// FreePort returns a TCP port of the loopback interface on which no process listens. No
// other call returns the same port before the test ends, in this process or another one:
// FreePort binds the UDP port of the same number until then.
func FreePort(t testing.TB) int {
	t.Helper()
	var listen net.ListenConfig
	var lastErr error
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // not a secret
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		claim, err := listen.ListenPacket(t.Context(), "udp", addr)
		if err != nil {
			lastErr = err
			continue
		}
		l, err := listen.Listen(t.Context(), "tcp", addr)
		if err != nil {
			lastErr = err
			_ = claim.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatalf("no free port: %v", lastErr)
	return 0
}
