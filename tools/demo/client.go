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

// answerWithin is longer than any deadline of the gateway's.
const answerWithin = 40 * time.Second

// client is somebody who talks to the gateway, one request after the other. It
// keeps to the gateway's limits by what each answer says of them.
type client struct {
	d       *demo
	token   string // sent when there is one
	budgets map[string]budget
	last    answer
}

// budget is what an answer said of a limit.
type budget struct {
	left int           // requests that are admitted at once
	step time.Duration // until one more is
	at   time.Time
}

type request struct {
	method, path string
	body         any // none when nil
	want         int // the status
}

// answer is what the last answer said besides its body.
type answer struct {
	trace string
	limit budget
}

// noAnswer is the error of a request that met nobody.
type noAnswer struct{ err error }

func (e *noAnswer) Error() string { return e.err.Error() }
func (e *noAnswer) Unwrap() error { return e.err }

// refusal is the error of an answer with another status than it should have.
type refusal struct {
	request request
	status  int
	code    string
	text    string
	retry   time.Duration
}

func (e *refusal) Error() string {
	return fmt.Sprintf("%s %s: got %d, want %d: %s", e.request.method, e.request.path, e.status, e.request.want, e.text)
}

func (d *demo) guest() *client { return &client{d: d, budgets: map[string]budget{}} }

// call sends a request and decodes an answer of the right status into v, which
// may be nil. It waits when the gateway asks for that.
func (c *client) call(ctx context.Context, r request, v any) error {
	for {
		if err := c.pace(ctx, r); err != nil {
			return err
		}
		err := c.once(ctx, r, v)
		refused, ok := err.(*refusal) //nolint:errorlint // once returns it bare
		if !ok || refused.status != http.StatusTooManyRequests || refused.retry <= 0 {
			if err == nil {
				c.d.answers.Add(1)
			}
			return err
		}
		c.d.say("  too many requests for the gateway's limits: waiting %s, as it asks\n", refused.retry)
		if err := pause(ctx, refused.retry); err != nil {
			return err
		}
	}
}

// pace waits until the limit that the request meets has room for it.
func (c *client) pace(ctx context.Context, r request) error {
	b, ok := c.budgets[bucket(r)]
	if !ok || b.left > 0 {
		return nil
	}
	return pause(ctx, time.Until(b.at.Add(b.step)))
}

// bucket tells requests that are counted together from others.
func bucket(r request) string {
	switch {
	case r.method == http.MethodGet:
		return "browse"
	case r.path == "/api/auth/register", r.path == "/api/auth/login":
		return "login"
	}
	return "write"
}

func (c *client) once(ctx context.Context, r request, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	out, err := c.build(ctx, r)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: c.d.transport}).Do(out)
	if err != nil {
		return &noAnswer{err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	c.last = answer{trace: traceID(res.Header)}
	if b, ok := readBudget(res.Header); ok {
		c.last.limit, c.budgets[bucket(r)] = b, b
	}
	if res.StatusCode != r.want {
		return refused(r, res, text)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	out, err := http.NewRequestWithContext(ctx, r.method, c.d.where.gateway+r.path, body)
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

func refused(r request, res *http.Response, text []byte) error {
	var p struct{ Code string }
	_ = json.Unmarshal(text, &p) // without a code it is a refusal all the same
	wait, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return &refusal{
		request: r, status: res.StatusCode, code: p.Code,
		text: strings.TrimSpace(string(text)), retry: time.Duration(wait) * time.Second,
	}
}

// readBudget reads `RateLimit: "write";r=119;t=1` and
// `RateLimit-Policy: "write";q=120;w=60`.
func readBudget(h http.Header) (budget, bool) {
	left, ok := parameter(h.Get("RateLimit"), "r")
	quota, ok2 := parameter(h.Get("RateLimit-Policy"), "q")
	seconds, ok3 := parameter(h.Get("RateLimit-Policy"), "w")
	if !ok || !ok2 || !ok3 || quota < 1 {
		return budget{}, false
	}
	return budget{left: left, step: time.Duration(seconds) * time.Second / time.Duration(quota), at: time.Now()}, true
}

func parameter(header, name string) (int, bool) {
	for part := range strings.SplitSeq(header, ";") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			n, err := strconv.Atoi(value)
			return n, err == nil
		}
	}
	return 0, false
}

// traceID is the trace that an answer names.
func traceID(h http.Header) string {
	if parts := strings.Split(h.Get("Traceparent"), "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

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
