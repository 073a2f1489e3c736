package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// writesPerSecond is the rate of the bookings while clients watch. The gateway sends each
// watcher at most this many changes a second.
const writesPerSecond = 4

// measureWatchers compares the processor time of a steady loop of bookings of one event
// with that of the same loop while many clients watch the event's availability.
func (b *bench) measureWatchers(ctx context.Context) error {
	idle, err := b.measureIdle(ctx)
	if err != nil {
		return err
	}
	loop := rung{name: "loop of bookings", publishesFacts: true, send: b.paced(ctx, b.book([]string{b.fixtures.hot}, true, booked))}
	writers := newCallers(1)
	alone, watched := &result{rung: loop}, &result{rung: loop}
	var updates int64
	for range b.rounds {
		done, err := b.measureBlock(ctx, loop, writers, limit{time: b.block})
		if err != nil {
			return err
		}
		alone.blocks = append(alone.blocks, done)
		w, err := b.watch(ctx, b.fixtures.hot, b.watchers)
		if err != nil {
			return err
		}
		first := w.updates.Load()
		if done, err = b.measureBlock(ctx, loop, writers, limit{time: b.block}); err == nil {
			watched.blocks = append(watched.blocks, done)
			updates += w.updates.Load() - first
		}
		if err := errors.Join(err, w.close()); err != nil {
			return err
		}
	}
	seconds := func(r *result) (s float64) {
		for _, done := range r.blocks {
			s += done.took.Seconds()
		}
		return s
	}
	// The bench's own time is the clients', of which there are many.
	perSecond := func(r *result) float64 {
		cost := r.cost(idle)
		return (cost.cpu() - cost[cpu("bench")]) * float64(countRequests(r)) / seconds(r)
	}
	b.printf("\n%d bookings a second, %d rounds of %s: processor time of the stack, without that of an idle one\n\n", writesPerSecond, b.rounds, b.block)
	b.printf("without watchers    %8.1f ms/s\n", perSecond(alone))
	b.printf("with %5d watchers %8.1f ms/s, %.2f times as much; %.2f updates a second to each watcher\n",
		b.watchers, perSecond(watched), perSecond(watched)/perSecond(alone), float64(updates)/float64(b.watchers)/seconds(watched))
	return nil
}

func countRequests(r *result) (n int) {
	for _, done := range r.blocks {
		n += done.requests
	}
	return n
}

// paced returns send at a rate of writesPerSecond.
func (b *bench) paced(ctx context.Context, send func(*caller) error) func(*caller) error {
	return func(c *caller) error {
		next := time.NewTimer(time.Second / writesPerSecond)
		defer next.Stop()
		err := send(c)
		select {
		case <-next.C:
		case <-ctx.Done():
		}
		return err
	}
}

// watchers are clients of the stream of an event's availability.
type watchers struct {
	updates atomic.Int64 // received by all watchers together
	stop    context.CancelFunc
	wg      sync.WaitGroup
	failed  chan error
}

// watch starts n watchers, and returns when each has received the current availability.
func (b *bench) watch(ctx context.Context, event string, n int) (*watchers, error) {
	ctx, stop := context.WithCancel(ctx)
	w := &watchers{stop: stop, failed: make(chan error, n)}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	started := make(chan struct{}, n)
	for range n {
		w.wg.Go(func() {
			if err := w.receive(ctx, client, b.gateway.base+"/api/events/"+event+"/availability/stream", started); err != nil && ctx.Err() == nil {
				w.failed <- err
			}
		})
	}
	for range n {
		select {
		case <-started:
		case err := <-w.failed:
			return nil, errors.Join(err, w.close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), w.close())
		}
	}
	return w, nil
}

// receive reads a stream until ctx ends. It reports the first update in started.
func (w *watchers) receive(ctx context.Context, client *http.Client, url string, started chan<- struct{}) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: got %d, want 200", url, res.StatusCode)
	}
	isFirst := true
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "data:") {
			continue
		}
		w.updates.Add(1)
		if isFirst {
			started <- struct{}{}
			isFirst = false
		}
	}
	return errors.New("the stream has ended")
}

// close ends all streams. It returns an error if one of them had ended before.
func (w *watchers) close() error {
	w.stop()
	w.wg.Wait()
	select {
	case err := <-w.failed:
		return fmt.Errorf("watch: %w", err)
	default:
		return nil
	}
}
