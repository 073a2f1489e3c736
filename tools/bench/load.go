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

// answerWithin is longer than any deadline of the gateway's.
const answerWithin = 40 * time.Second

// rung is one kind of request that is measured.
type rung struct {
	name string
	what string // one line of what it measures
	// books is set when requests leave facts to be published: the block ends when
	// all have been.
	books bool
	// ask sends one request and waits for its answer. Any but the expected one is
	// an error.
	ask func(c *caller) error
}

// caller is one client: it sends its next request when the last was answered.
type caller struct {
	n    int // its number
	sent int // how many requests it has sent in its life
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

// block is one round of a rung.
type block struct {
	requests int
	took     time.Duration   // from the first request to the last answer
	settled  time.Duration   // from the last answer until all facts had been published and taken
	times    []time.Duration // of each request, sorted
	spent    usage
}

func (b block) rate() float64 { return float64(b.requests) / b.took.Seconds() }

// limit ends a block: after so long or so many requests, whichever is set.
type limit struct {
	time     time.Duration
	requests int
}

// measure lets all callers ask until the limit is reached. The first wrong answer
// ends it.
func measure(ctx context.Context, r rung, callers []*caller, l limit) (block, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(l.requests))
	var wg sync.WaitGroup
	times := make([][]time.Duration, len(callers))
	began := time.Now()
	for i, c := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.requests > 0 && left.Add(-1) < 0 {
					return
				}
				at := time.Now()
				if l.time > 0 && at.Sub(began) >= l.time {
					return
				}
				if err := r.ask(c); err != nil {
					cancel(fmt.Errorf("rung %q: %w", r.name, err))
					return
				}
				c.sent++
				times[i] = append(times[i], time.Since(at))
			}
		})
	}
	wg.Wait()
	b := block{took: time.Since(began), times: slices.Concat(times...)}
	b.requests = len(b.times)
	slices.Sort(b.times)
	if ctx.Err() != nil {
		return b, context.Cause(ctx)
	}
	return b, nil
}

// server is where requests go.
type server struct {
	base string // its URL
	http fasthttp.HostClient
}

func newServer(base string, callers int) *server {
	s := &server{base: base}
	s.http.Addr = base[len("http://"):]
	s.http.MaxConns = callers + 1
	s.http.ReadTimeout, s.http.WriteTimeout = answerWithin, answerWithin
	s.http.MaxIdemponentCallAttempts = 1 // a request that has to be repeated is a failure
	s.http.MaxIdleConnDuration = 5 * time.Minute
	return s
}

// ask sends what stands in the caller's request and checks the answer.
func (s *server) ask(c *caller, want answer) error {
	if err := s.http.Do(&c.req, &c.res); err != nil {
		return fmt.Errorf("%s %s: %w", c.req.Header.Method(), c.req.URI().Path(), err)
	}
	return want.check(&c.req, &c.res)
}

// answer is what a request must be answered.
type answer struct {
	status int
	has    []byte // is in the body
}

func (a answer) check(req *fasthttp.Request, res *fasthttp.Response) error {
	if res.StatusCode() == a.status && bytes.Contains(res.Body(), a.has) {
		return nil
	}
	return fmt.Errorf("%s %s: got %d, want %d with %q in it: %.300s",
		req.Header.Method(), req.URI().Path(), res.StatusCode(), a.status, a.has, res.Body())
}

// prepare makes the caller's request anew.
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
