package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answerWithin is longer than any deadline of the gateway's.
const answerWithin = 40 * time.Second

// Client is somebody who talks to the gateway.
type Client struct {
	Gateway string // base URL
	Token   string // sent when there is one
}

// Response is an answer that was read whole.
type Response struct {
	*http.Response
	Text string // its body
}

// Guest is a client without an account.
func (s *Stack) Guest() Client { return Client{Gateway: s.Gateway} }

// As is the client who has that access token.
func (s *Stack) As(token string) Client { return Client{Gateway: s.Gateway, Token: token} }

// Do sends a request, and fails the test when there is no answer. body may be nil;
// headers are names and values in turn.
func (c Client) Do(t *testing.T, method, path string, body any, headers ...string) Response {
	t.Helper()
	res, err := c.Try(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Try is Do for requests that may get no answer, and for goroutines that must not
// end the test.
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
	return send(r)
}

// Ask sends any request, to whomever, and fails the test when there is no answer.
func Ask(t *testing.T, r *http.Request) Response {
	t.Helper()
	res, err := send(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func send(r *http.Request) (Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := http.DefaultClient.Do(r.WithContext(ctx)) //nolint:gosec // to what the test has started
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

// Want decodes a body of that status into v, which may be nil.
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

// Refused checks a problem's status and code, and returns its detail.
func (r Response) Refused(t *testing.T, status int, code string) string {
	t.Helper()
	var p struct{ Code, Detail string }
	r.Want(t, status, &p)
	if p.Code != code {
		t.Errorf("%s %s: got %s (%s), want %s", r.Request.Method, r.Request.URL.Path, p.Code, p.Detail, code)
	}
	return p.Detail
}

// TraceID is the trace that an answer names.
func (r Response) TraceID(t *testing.T) string {
	t.Helper()
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) != 4 {
		t.Fatalf("traceparent: got %q", r.Header.Get("Traceparent"))
	}
	return parts[1]
}
