package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requestTimeout is longer than every timeout of the gateway.
const requestTimeout = 40 * time.Second

// client sends requests to the gateway, one at a time. It stays within the gateway's
// rate limits, which it learns from the RateLimit headers of each response.
type client struct {
	d       *demo
	token   string            // access token; empty while logged out
	budgets map[string]budget // by rate limit
	last    responseInfo      // from the last response
}

// budget is the remaining part of a rate limit.
type budget struct {
	left int           // requests that may be sent at once
	step time.Duration // time until the limit admits one more
	at   time.Time     // when the response was received
}

type request struct {
	method, path string
	body         any // JSON; nil means no body
	want         int // expected status
}

// responseInfo has the values of the headers that the demo uses.
type responseInfo struct {
	traceID string
	limit   budget
}

// connectionError is the error of a request that got no response.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// statusError is the error of a response with an unexpected status.
type statusError struct {
	request request
	status  int
	code    string // problem code; may be empty
	body    string
	retry   time.Duration // Retry-After; may be zero
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: got %d, want %d: %s", e.request.method, e.request.path, e.status, e.request.want, e.body)
}

// newClient returns a client that is not logged in.
func (d *demo) newClient() *client { return &client{d: d, budgets: map[string]budget{}} }

// call sends a request and decodes the response into v, which may be nil. It waits
// for the rate limits, and retries after 429 Too Many Requests. It returns a
// *statusError if the status is not the expected one, and a *connectionError if there
// is no response.
func (c *client) call(ctx context.Context, r request, v any) error {
	for {
		if err := c.pace(ctx, r); err != nil {
			return err
		}
		err := c.send(ctx, r, v)
		unexpected, ok := err.(*statusError) //nolint:errorlint // send does not wrap it
		if !ok || unexpected.status != http.StatusTooManyRequests || unexpected.retry <= 0 {
			if err == nil {
				c.d.succeeded.Add(1)
			}
			return err
		}
		c.d.printf("  the gateway's rate limit is used up: waiting %s\n", unexpected.retry)
		if err := pause(ctx, unexpected.retry); err != nil {
			return err
		}
	}
}

// pace waits until the rate limit that counts the request admits it.
func (c *client) pace(ctx context.Context, r request) error {
	b, ok := c.budgets[limitOf(r)]
	if !ok || b.left > 0 {
		return nil
	}
	return pause(ctx, time.Until(b.at.Add(b.step)))
}

// limitOf returns the name of the rate limit that counts the request.
func limitOf(r request) string {
	switch {
	case r.method == http.MethodGet:
		return "browse"
	case r.path == "/api/auth/register", r.path == "/api/auth/login":
		return "login"
	}
	return "write"
}

// send sends a request once.
func (c *client) send(ctx context.Context, r request, v any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out, err := c.build(ctx, r)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: c.d.transport}).Do(out)
	if err != nil {
		return &connectionError{err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	c.last = responseInfo{traceID: traceID(res.Header)}
	if b, ok := readBudget(res.Header); ok {
		c.last.limit, c.budgets[limitOf(r)] = b, b
	}
	if res.StatusCode != r.want {
		return newStatusError(r, res, text)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

// build converts r to an HTTP request with the client's token.
func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	out, err := http.NewRequestWithContext(ctx, r.method, c.d.stack.gateway+r.path, body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		out.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		out.Header.Set("Authorization", "Bearer "+c.token)
	}
	return out, nil
}

func newStatusError(r request, res *http.Response, text []byte) error {
	var p struct{ Code string }
	_ = json.Unmarshal(text, &p) // the body may be something other than a problem
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return &statusError{
		request: r, status: res.StatusCode, code: p.Code,
		body: strings.TrimSpace(string(text)), retry: time.Duration(seconds) * time.Second,
	}
}

// readBudget parses the headers `RateLimit: "write";r=119;t=1` and
// `RateLimit-Policy: "write";q=120;w=60` (draft-ietf-httpapi-ratelimit-headers). It
// returns false if one is missing or malformed.
func readBudget(h http.Header) (budget, bool) {
	left, ok := parameter(h.Get("RateLimit"), "r")
	quota, ok2 := parameter(h.Get("RateLimit-Policy"), "q")
	seconds, ok3 := parameter(h.Get("RateLimit-Policy"), "w")
	if !ok || !ok2 || !ok3 || quota < 1 {
		return budget{}, false
	}
	return budget{left: left, step: time.Duration(seconds) * time.Second / time.Duration(quota), at: time.Now()}, true
}

// parameter returns the integer value of the parameter called name in a structured
// header.
func parameter(header, name string) (int, bool) {
	for part := range strings.SplitSeq(header, ";") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			n, err := strconv.Atoi(value)
			return n, err == nil
		}
	}
	return 0, false
}

// traceID returns the trace id of a Traceparent header, or "".
func traceID(h http.Header) string {
	if parts := strings.Split(h.Get("Traceparent"), "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

// pause waits for d, or returns ctx.Err() if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
