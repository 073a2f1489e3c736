package attack_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// forwardedWarning is logged by the gateway; see docs/deployment.md.
const forwardedWarning = "forwarding headers were ignored"

// flood sends n requests from a loopback address over a few connections, and returns the
// number of answers by status and the header of the last answer with the status 429. build
// returns the i-th request.
func flood(t *testing.T, address string, n int, build func(i int) *http.Request) (counts map[int]int, refusal http.Header) {
	t.Helper()
	const connections = 8
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	type answer struct {
		status int
		header http.Header
	}
	answers := make([]answer, n)
	kit.Concurrently(connections, func(worker int) {
		for i := worker; i < n; i += connections {
			res, err := client.Do(build(i))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			answers[i] = answer{res.StatusCode, res.Header}
		}
	})
	counts = map[int]int{}
	for _, a := range answers {
		counts[a.status]++
		if a.status == http.StatusTooManyRequests {
			refusal = a.header
		}
	}
	return counts, refusal
}

// request returns a request of a client with a token, or without one if token is empty.
func request(t *testing.T, method, path, body, token string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), method, running.Gateway+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// accounts creates accounts from an address and returns their access tokens.
func accounts(t *testing.T, address string, n int) []string {
	t.Helper()
	var tokens []string
	for range n {
		var l authapi.Login
		body := map[string]string{"email": stack.Address(), "password": stack.Password, "name": "Eve"}
		running.Guest().From(address).Do(t, "POST", "/api/auth/register", body).Want(t, 201, &l)
		tokens = append(tokens, l.Tokens.AccessToken)
	}
	return tokens
}

// A registration costs a password hash, and says whether an e-mail address has an account.
// A valid token must not lift the limit of the address, and neither must a header that only
// a proxy may set. The registrations are invalid, so that they cost no hash here.
func TestTokensDoNotLiftTheLimitOfRegistrations(t *testing.T) {
	tokens := accounts(t, "127.0.0.27", 2)
	counts, _ := flood(t, "127.0.0.26", 60, func(i int) *http.Request {
		r := request(t, "POST", "/api/auth/register", `{"email":"eve@example.org","password":"short","name":"Eve"}`, tokens[i%2])
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
		return r
	})
	if counts[400] > 45 || counts[429] < 15 {
		t.Errorf("got %v, want about 30 of 60 registrations refused with 429", counts)
	}
	kit.Eventually(t, stack.WaitTimeout, "the gateway warns about the forwarding header", func() bool {
		return strings.Contains(running.Log(), forwardedWarning)
	})
	if n := strings.Count(running.Log(), forwardedWarning); n > 5 {
		t.Errorf("got %d warnings about forwarding headers, want about one a minute", n)
	}
}

// Many accounts must not multiply the limit of their address.
func TestAccountsOfAnAddressShareALimit(t *testing.T) {
	identities := append(accounts(t, "127.0.0.27", 6), "") // the last one is a guest
	n := 600 * len(identities)                             // no identity exceeds its own limit
	counts, refusal := flood(t, "127.0.0.28", n, func(i int) *http.Request {
		return request(t, "GET", "/api/events", "", identities[i%len(identities)])
	})
	if refusal == nil || counts[200] < 3000 || counts[200]+counts[429] != n {
		t.Fatalf("got %v, want about 3000 of %d requests accepted and the rest refused with 429", counts, n)
	}
	if got := refusal.Get("RateLimit-Policy"); got != `"address";q=3000;w=60` || refusal.Get("Retry-After") == "" {
		t.Errorf("got the headers %v, want the limit of the address", refusal)
	}
	// Others are served, and probes are.
	running.Guest().From("127.0.0.29").Do(t, "GET", "/api/events", nil, "Authorization", "Bearer "+identities[0]).Want(t, 200, nil)
	running.Guest().From("127.0.0.28").Do(t, "GET", "/healthz", nil).Want(t, 200, nil)
}

// probeOn sends a liveness probe over a connection and leaves it open.
func probeOn(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

// A client must not take all connections of the gateway. It holds them with probes, which
// count against no rate limit.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	const most = 3000
	address, err := url.Parse(running.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.22")}}
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	refused := 0
	for i := 0; i < most && refused < 20; i++ {
		conn, err := dialer.DialContext(t.Context(), "tcp", address.Host)
		if err != nil {
			refused++
			continue
		}
		held = append(held, conn)
		if probeOn(conn) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("one address has %d connections, want a limit", len(held))
	}
	running.Guest().From("127.0.0.23").Do(t, "GET", "/readyz", nil).Want(t, 200, nil)
	for _, conn := range held {
		_ = conn.Close()
	}
	kit.Eventually(t, stack.WaitTimeout, "the closed connections make room", func() error {
		_, err := running.Guest().From("127.0.0.22").Try(t.Context(), "GET", "/healthz", nil)
		return err
	})
}

// Each probe of readiness used to cost a connection to the sidecar.
func TestReadinessProbesOpenNoConnections(t *testing.T) {
	gateway, err := running.Instance("gateway")
	if err != nil {
		t.Fatal(err)
	}
	before := socketsTo(t, gateway.HTTPPort)
	counts, _ := flood(t, "127.0.0.29", 2000, func(int) *http.Request { return request(t, "GET", "/readyz", "", "") })
	if counts[200] != 2000 {
		t.Errorf("got %v, want all probes answered with 200", counts)
	}
	if after := socketsTo(t, gateway.HTTPPort); after > before+20 {
		t.Errorf("got %d connections to the sidecar after 2000 probes and %d before, want hardly more", after, before)
	}
}

// socketsTo returns the number of TCP sockets that are connected to a port of 127.0.0.1, or
// were until recently.
func socketsTo(t *testing.T, port int) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip("needs /proc")
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == fmt.Sprintf("0100007F:%04X", port) {
			n++
		}
	}
	return n
}
