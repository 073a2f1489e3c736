package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// replyTimeout is longer than any deadline of the gateway.
const replyTimeout = 40 * time.Second

// Client sends requests to the gateway.
type Client struct {
	Gateway string // base URL
	Token   string // access token; not sent if empty

	transport *http.Client // nil for the default one
}

// From returns a client that sends its requests from a local address, such as 127.0.0.2,
// so that they count against the limits of that address.
func (c Client) From(address string) Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c.transport = &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	return c
}

// Response is a response whose body has been read.
type Response struct {
	*http.Response
	Text string // the body
}

// Guest returns a client without an access token.
func (s *Stack) Guest() Client { return Client{Gateway: s.Gateway} }

// As returns a client that sends the access token.
func (s *Stack) As(token string) Client { return Client{Gateway: s.Gateway, Token: token} }

// Do sends a request, and fails the test if there is no response. body is sent as
// JSON unless it is nil. headers contains alternating names and values.
func (c Client) Do(t *testing.T, method, path string, body any, headers ...string) Response {
	t.Helper()
	res, err := c.Try(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Try sends a request as Do does, but returns an error instead of failing the test.
// It is for requests that may get no response, and for goroutines.
func (c Client) Try(ctx context.Context, method, path string, body any, headers ...string) (Response, error) {
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return Response{}, err
		}
		data = strings.NewReader(string(text))
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Gateway+path, data)
	if err != nil {
		return Response{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if c.transport == nil {
		c.transport = http.DefaultClient
	}
	return roundTrip(c.transport, r)
}

// Send sends any request to any server, and fails the test if there is no response.
func Send(t *testing.T, r *http.Request) Response {
	t.Helper()
	res, err := roundTrip(http.DefaultClient, r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func roundTrip(client *http.Client, r *http.Request) (Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), replyTimeout)
	defer cancel()
	res, err := client.Do(r.WithContext(ctx)) //nolint:gosec // the test has started the server
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return Response{}, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	return Response{res, string(text)}, nil
}

// Want fails the test unless the response has the given status. It decodes the body
// into v, unless v is nil.
func (r Response) Want(t *testing.T, status int, v any) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.Text, status)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(r.Text), v); err != nil {
		t.Fatalf("%v: %s", err, r.Text)
	}
}

// Refused checks that the response is a problem with the given status and code, and
// returns its detail.
func (r Response) Refused(t *testing.T, status int, code string) string {
	t.Helper()
	var p struct{ Code, Detail string }
	r.Want(t, status, &p)
	if p.Code != code {
		t.Errorf("%s %s: got %s (%s), want %s", r.Request.Method, r.Request.URL.Path, p.Code, p.Detail, code)
	}
	return p.Detail
}

// TraceID returns the trace id in the response's Traceparent header.
func (r Response) TraceID(t *testing.T) string {
	t.Helper()
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) != 4 {
		t.Fatalf("Traceparent: got %q, want four fields", r.Header.Get("Traceparent"))
	}
	return parts[1]
}
