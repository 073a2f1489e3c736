package live_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/gateway/internal/live"
)

const interval = 250 * time.Millisecond

// harness is a hub inside a synctest bubble, which makes all durations exact.
type harness struct {
	t   *testing.T
	hub *live.Hub

	mu    sync.Mutex
	now   live.Update // what the next poll returns
	err   error
	polls []time.Time
	log   bytes.Buffer
}

// run calls test inside a synctest bubble, with a hub whose subject is at version 1.
func run(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{t: t}
		h.set(1)
		h.hub = live.NewHub(live.Config{
			Poll: h.poll, Interval: interval, RetryInterval: time.Second, MaxWatchers: 1500, MaxPerAddress: 1000,
			Log: slog.New(slog.NewTextHandler(&h.log, nil)),
		})
		test(t, h)
		// Nothing may be left: no watcher, no poll, and, as synctest checks, no goroutine.
		if err := h.hub.Stop(t.Context()); err != nil {
			t.Errorf("Stop: got %v, want nil", err)
		}
		if watchers, subjects := h.hub.Watchers(); watchers != 0 || subjects != 0 {
			t.Errorf("got %d watchers of %d subjects, want none", watchers, subjects)
		}
	})
}

func (h *harness) poll(context.Context, string) (live.Update, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polls = append(h.polls, time.Now())
	return h.now, h.err
}

func (h *harness) set(version int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.err = live.Update{Version: version, Data: fmt.Appendf(nil, `{"v":%d}`, version)}, nil
}

func (h *harness) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *harness) countPolls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.polls)
}

// client is the reader of one stream.
type client struct {
	conn  net.Conn // the client's end of the connection
	ended chan struct{}

	mu    sync.Mutex
	lines []string // received lines that are not empty
	at    []time.Time
}

// watch starts a stream and returns its client, which does not read yet.
func (h *harness) watch(last int64) *client {
	h.t.Helper()
	w, err := h.hub.Watch(h.t.Context(), "gala", "192.0.2.1")
	if err != nil {
		h.t.Fatal(err)
	}
	server, conn := net.Pipe()
	c := &client{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		live.Stream{Watcher: w, Conn: server, Header: []byte("header\n\n"), Subject: "gala", Last: last}.Run()
		server.Close()
	}()
	h.t.Cleanup(func() { conn.Close() })
	return c
}

// read makes the client read in the background until the stream ends.
func (c *client) read() *client {
	go func() {
		for in := bufio.NewScanner(c.conn); in.Scan(); {
			if in.Text() == "" {
				continue
			}
			c.mu.Lock()
			c.lines, c.at = append(c.lines, in.Text()), append(c.at, time.Now())
			c.mu.Unlock()
		}
	}()
	return c
}

// received returns the lines since the last call, once all goroutines wait.
func (c *client) received() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// event returns the lines of an availability event.
func event(version int) []string {
	return []string{fmt.Sprintf("id: %d", version), "event: availability", fmt.Sprintf(`data: {"v":%d}`, version)}
}

func (h *harness) want(c *client, want ...string) {
	h.t.Helper()
	if got := c.received(); !slices.Equal(got, want) {
		h.t.Errorf("got %q, want %q", got, want)
	}
}

func (h *harness) wantEnd(c *client) {
	h.t.Helper()
	synctest.Wait()
	select {
	case <-c.ended:
	default:
		h.t.Error("the stream has not ended")
	}
}

// leave closes the client's connection.
func (h *harness) leave(c *client) {
	h.t.Helper()
	c.conn.Close()
	h.wantEnd(c)
}

func TestStreamSendsTheStateAtOnceAndAfterEachChange(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		c := h.watch(0).read()
		h.want(c, append([]string{"header"}, event(1)...)...)
		time.Sleep(10 * time.Second)
		h.want(c) // nothing has changed
		h.set(5)
		time.Sleep(interval)
		h.want(c, event(5)...)
		h.set(4) // an older version is ignored
		time.Sleep(time.Second)
		h.want(c)
		h.leave(c)
	})
}

func TestStreamSendsOnlyWhatTheClientLacks(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		h.set(7)
		c := h.watch(7).read()
		h.want(c, "header")
		h.set(8)
		time.Sleep(interval)
		h.want(c, event(8)...)
		h.leave(c)
	})
}

// The subject changes a hundred times a second. Each watcher, at whatever time it joins,
// gets at most one event per interval, and the newest state in the end.
func TestChangesAreSentAtMostFourTimesASecond(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		var clients []*client
		for i := range 1000 {
			h.set(int64(i) + 2)
			if i%100 == 37 {
				clients = append(clients, h.watch(0).read())
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * interval) // the next poll, and the pause of a client that has just received an event
		synctest.Wait()
		for i, c := range clients {
			c.mu.Lock()
			var events []time.Time
			for j, line := range c.lines {
				if strings.HasPrefix(line, "id: ") {
					events = append(events, c.at[j])
				}
			}
			last := c.lines[len(c.lines)-1]
			c.mu.Unlock()
			for j := range events[1:] {
				if gap := events[j+1].Sub(events[j]); gap < interval {
					t.Errorf("client %d: got two events within %s, want at least %s", i, gap, interval)
				}
			}
			if last != `data: {"v":1001}` || len(events) < 2 {
				t.Errorf("client %d: got %d events, the last with %s, want the last version, 1001", i, len(events), last)
			}
			h.leave(c)
		}
	})
}

func TestManyWatchersCostOnePoll(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		const watchers = 1000
		var clients []*client
		for range watchers {
			clients = append(clients, h.watch(0).read())
		}
		synctest.Wait()
		before := h.countPolls()
		for version := range int64(40) {
			h.set(version + 2)
			time.Sleep(interval)
		}
		synctest.Wait() // for the last poll, which is due now
		if n := h.countPolls() - before; n != 40 {
			t.Errorf("got %d polls in 10s, want 40", n)
		}
		for i, c := range clients {
			if lines := c.received(); !slices.Equal(lines[len(lines)-3:], event(41)) {
				t.Errorf("client %d: got %q last, want version 41", i, lines[len(lines)-3:])
			}
		}
		for _, c := range clients {
			h.leave(c)
		}
		// The polls end with the last watcher.
		synctest.Wait()
		before = h.countPolls()
		time.Sleep(time.Minute)
		if n := h.countPolls() - before; n != 0 {
			t.Errorf("without watchers: got %d polls, want none", n)
		}
	})
}

func TestEndOfTheSubjectClosesItsStreams(t *testing.T) {
	const closed = `data: {"eventId":"gala"}`
	for name, tt := range map[string]struct {
		end  func(h *harness)
		want []string
	}{
		"subject is gone": {
			func(h *harness) { h.fail(fmt.Errorf("poll: %w", live.ErrEnded)) },
			[]string{"event: closed", closed},
		},
		"final state": {
			func(h *harness) { h.set(2); h.mu.Lock(); h.now.Closed = true; h.mu.Unlock() },
			append(event(2), "event: closed", closed),
		},
		"final state without a change": {
			func(h *harness) { h.mu.Lock(); h.now.Closed = true; h.mu.Unlock() },
			[]string{"event: closed", closed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, h *harness) {
				clients := []*client{h.watch(0).read(), h.watch(0).read()}
				time.Sleep(time.Second)
				for _, c := range clients {
					c.received()
				}
				tt.end(h)
				time.Sleep(interval)
				for _, c := range clients {
					h.want(c, tt.want...)
					h.wantEnd(c)
				}
				before := h.countPolls()
				time.Sleep(time.Minute)
				if n := h.countPolls() - before; n != 0 {
					t.Errorf("after the end: got %d polls, want none", n)
				}
			})
		})
	}
	t.Run("before the first watch", func(t *testing.T) {
		run(t, func(t *testing.T, h *harness) {
			h.now.Closed = true
			c := h.watch(0).read()
			h.want(c, slices.Concat([]string{"header"}, event(1), []string{"event: closed", closed})...)
			h.wantEnd(c)
			h.fail(live.ErrEnded)
			if _, err := h.hub.Watch(t.Context(), "gala", "a"); !errors.Is(err, live.ErrEnded) {
				t.Errorf("Watch: got %v, want %v", err, live.ErrEnded)
			}
		})
	})
}

func TestSilentStreamHasHeartbeats(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		c := h.watch(0).read()
		c.received()
		time.Sleep(15*time.Second - 1)
		h.want(c)
		time.Sleep(time.Nanosecond)
		h.want(c, ": heartbeat")
		time.Sleep(10 * time.Second)
		h.set(2)
		time.Sleep(interval)
		h.want(c, event(2)...)
		// The event was sent at some time during the last interval.
		time.Sleep(15*time.Second - 2*interval)
		h.want(c)
		time.Sleep(3 * interval)
		h.want(c, ": heartbeat")
		h.leave(c)
	})
}

// A client that does not read is dropped, and the others go on.
func TestClientThatDoesNotReadIsDropped(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		silent, other := h.watch(0), h.watch(0).read()
		other.received()
		for version := range int64(20) {
			h.set(version + 2)
			time.Sleep(interval)
			h.want(other, event(int(version)+2)...)
		}
		h.wantEnd(silent) // after 5s
		if watchers, _ := h.hub.Watchers(); watchers != 1 {
			t.Errorf("got %d watchers, want 1", watchers)
		}
		h.leave(other)
	})
}

func TestFailedPollsAreRepeatedAndLoggedOnce(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		c := h.watch(0).read()
		c.received()
		before := h.countPolls()
		h.fail(errors.New("connection refused"))
		time.Sleep(10 * time.Second)
		h.want(c)
		if n := h.countPolls() - before; n != 10 {
			t.Errorf("got %d polls in 10s, want 10", n)
		}
		h.set(2)
		time.Sleep(time.Second)
		h.want(c, event(2)...)
		if n := strings.Count(h.log.String(), "poll failed"); n != 1 {
			t.Errorf("got %d log lines, want 1: %s", n, h.log.String())
		}
		h.leave(c)
	})
}

func TestStopEndsStreams(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		reading, silent := h.watch(0).read(), h.watch(0)
		reading.received()
		began := time.Now()
		if err := h.hub.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		h.want(reading, "retry: 2000")
		h.wantEnd(reading)
		h.wantEnd(silent)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Stop took %s, want at most the write timeout, 5s", took)
		}
		if _, err := h.hub.Watch(t.Context(), "gala", "a"); !errors.Is(err, live.ErrStopped) {
			t.Errorf("Watch: got %v, want %v", err, live.ErrStopped)
		}
	})
}

func TestStopReturnsWhenItsContextEnds(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		w, err := h.hub.Watch(t.Context(), "gala", "a") // no stream reads it
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.hub.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		w.Close()
	})
}

func TestWatchersAreLimited(t *testing.T) {
	run(t, func(t *testing.T, h *harness) {
		watch := func(address string, n int) (all []*live.Watcher, err error) {
			for range n {
				w, err := h.hub.Watch(t.Context(), "gala", address)
				if err != nil {
					return all, err
				}
				all = append(all, w)
			}
			return all, nil
		}
		first, err := watch("a", 1001)
		if len(first) != 1000 || !errors.Is(err, live.ErrAddressFull) {
			t.Errorf("one address: got %d watchers, %v, want 1000, %v", len(first), err, live.ErrAddressFull)
		}
		second, err := watch("b", 501)
		if len(second) != 500 || !errors.Is(err, live.ErrFull) {
			t.Errorf("in total: got %d watchers more, %v, want 500, %v", len(second), err, live.ErrFull)
		}
		first[0].Close()
		again, err := watch("a", 1)
		if err != nil {
			t.Errorf("after one left: got %v, want no error", err)
		}
		// A refused poll occupies no place.
		again[0].Close()
		h.fail(live.ErrEnded)
		for range 3 {
			if _, err := watch("c", 1); !errors.Is(err, live.ErrEnded) {
				t.Errorf("got %v, want %v", err, live.ErrEnded)
			}
		}
		h.set(1)
		again, err = watch("c", 1)
		if err != nil {
			t.Errorf("after refused polls: got %v, want no error", err)
		}
		for _, w := range slices.Concat(first[1:], second, again) {
			w.Close()
		}
	})
}
