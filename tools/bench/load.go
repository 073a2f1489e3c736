package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// requestTimeout is longer than every timeout of the gateway.
const requestTimeout = 40 * time.Second

// rung is a workload: one kind of request.
type rung struct {
	name        string
	description string // one line
	// publishesFacts reports whether requests leave facts to be published. A block
	// then ends when all of them are settled.
	publishesFacts bool
	// send sends one request and waits for the response. It returns an error if the
	// response is not the expected one.
	send func(c *caller) error
}

// caller is a client that sends one request at a time. It sends the next request when it
// has the response to the previous one.
type caller struct {
	n    int // index among the callers
	sent int // requests of all blocks so far
	req  fasthttp.Request
	res  fasthttp.Response
}

func newCallers(n int) []*caller {
	all := make([]*caller, n)
	for i := range all {
		all[i] = &caller{n: i}
	}
	return all
}

// block is one measurement of a rung.
type block struct {
	requests int
	took     time.Duration   // from the first request to the last response
	settled  time.Duration   // from the last response until all facts were published and acknowledged
	times    []time.Duration // latencies, sorted
	spent    usage
}

func (b block) rate() float64 { return float64(b.requests) / b.took.Seconds() }

// limit ends a block after a time or a number of requests, whichever is not zero.
type limit struct {
	time     time.Duration
	requests int
}

// measure lets all callers send requests until the limit is reached. It returns an error
// at the first unexpected response.
func measure(ctx context.Context, r rung, callers []*caller, l limit) (block, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(l.requests))
	var wg sync.WaitGroup
	times := make([][]time.Duration, len(callers))
	start := time.Now()
	for i, c := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.requests > 0 && left.Add(-1) < 0 {
					return
				}
				at := time.Now()
				if l.time > 0 && at.Sub(start) >= l.time {
					return
				}
				if err := r.send(c); err != nil {
					cancel(fmt.Errorf("rung %q: %w", r.name, err))
					return
				}
				c.sent++
				times[i] = append(times[i], time.Since(at))
			}
		})
	}
	wg.Wait()
	b := block{took: time.Since(start), times: slices.Concat(times...)}
	b.requests = len(b.times)
	slices.Sort(b.times)
	if ctx.Err() != nil {
		return b, context.Cause(ctx)
	}
	return b, nil
}

// server is a target of requests.
type server struct {
	base string // URL
	http fasthttp.HostClient
}

func newServer(base string, callers int) *server {
	s := &server{base: base}
	s.http.Addr = base[len("http://"):]
	s.http.MaxConns = callers + 1
	s.http.ReadTimeout, s.http.WriteTimeout = requestTimeout, requestTimeout
	s.http.MaxIdemponentCallAttempts = 1 // a request that must be retried is a failure
	s.http.MaxIdleConnDuration = 5 * time.Minute
	return s
}

// send sends the caller's request and checks the response.
func (s *server) send(c *caller, want response) error {
	if err := s.http.Do(&c.req, &c.res); err != nil {
		return fmt.Errorf("%s %s: %w", c.req.Header.Method(), c.req.URI().Path(), err)
	}
	return want.check(&c.req, &c.res)
}

// response describes the expected response to a request.
type response struct {
	status   int
	contains []byte // part of the body
}

func (want response) check(req *fasthttp.Request, res *fasthttp.Response) error {
	if res.StatusCode() == want.status && bytes.Contains(res.Body(), want.contains) {
		return nil
	}
	return fmt.Errorf("%s %s: got %d, want %d with %q in it: %.300s",
		req.Header.Method(), req.URI().Path(), res.StatusCode(), want.status, want.contains, res.Body())
}

// prepare sets the caller's request. The body may be nil.
func (s *server) prepare(c *caller, method, path, token string, body []byte) {
	c.req.Reset()
	c.req.SetRequestURI(s.base + path)
	c.req.Header.SetMethod(method)
	if token != "" {
		c.req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		c.req.Header.SetContentType("application/json")
		c.req.SetBodyRaw(body)
	}
}
