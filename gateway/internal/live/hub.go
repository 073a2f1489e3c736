// Package live sends the newest state of a subject to any number of watchers, as
// Server-Sent Events (HTML Standard, section 9.2).
//
// A Hub polls each subject that has watchers, once for all of them, and stops when the
// last one leaves. Only the newest state counts: there are no queues. A watcher that is
// slower than the changes skips some, and one that does not read at all is dropped,
// while the others go on.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"boxoffice/shared/telemetry"
)

// ErrEnded is returned by Config.Poll if the subject does not exist, or no longer.
var ErrEnded = errors.New("the subject has ended")

// The reasons why Watch refuses a watcher.
var (
	ErrAddressFull = errors.New("the address has too many watchers")
	ErrFull        = errors.New("there are too many watchers")
	ErrStopped     = errors.New("the hub is stopped")
)

// Update is the state of a subject at one time.
type Update struct {
	Version int64  // never decreases
	Data    []byte // nil if the subject no longer exists
	Closed  bool   // the subject has ended; no further update follows

	event []byte // Data as an event of a stream, which all watchers share
}

// withEvent returns the update with its event.
func (u Update) withEvent() Update {
	if u.Data != nil {
		u.event = fmt.Appendf(nil, "id: %d\nevent: availability\ndata: %s\n\n", u.Version, u.Data)
	}
	return u
}

// Config configures a Hub. All fields must be set.
type Config struct {
	// Poll returns the current state of a subject. ErrEnded ends the watches of the
	// subject. Any other error is logged, and the poll is repeated later.
	Poll func(ctx context.Context, subject string) (Update, error)
	// Interval is the time between two polls of a subject, and the minimum time between
	// two updates of a watcher.
	Interval time.Duration
	// RetryInterval is the time between a failed poll and the next one.
	RetryInterval time.Duration
	MaxWatchers   int // in total
	MaxPerAddress int // watchers with the same address
	Log           *slog.Logger
}

// Hub polls subjects on behalf of watchers. It is safe for concurrent use.
type Hub struct {
	cfg      Config
	stopping chan struct{} // closed by Stop
	running  sync.WaitGroup

	mu        sync.Mutex
	stopped   bool
	total     int            // watchers
	addresses map[string]int // watchers by address
	topics    map[string]*topic
}

// topic is a subject with at least one watcher.
type topic struct {
	subject  string
	latest   Update
	watchers map[*Watcher]struct{}
	cancel   context.CancelFunc // ends the polls
}

// Watcher receives the updates of one subject.
type Watcher struct {
	hub     *Hub
	topic   *topic
	address string
	changed chan struct{} // holds one value if there is an update that Latest has not returned yet
}

// NewHub returns a hub without watchers.
func NewHub(cfg Config) *Hub {
	return &Hub{cfg: cfg, stopping: make(chan struct{}), addresses: map[string]int{}, topics: map[string]*topic{}}
}

// Watch returns a watcher of subject that has at least one update. The caller must close
// it. address is what Config.MaxPerAddress counts. Watch returns ErrAddressFull, ErrFull,
// ErrStopped, or the error of the first poll, which may be ErrEnded.
func (h *Hub) Watch(ctx context.Context, subject, address string) (*Watcher, error) {
	if err := h.admit(address); err != nil {
		return nil, err
	}
	first, err := h.cfg.Poll(ctx, subject)
	if err != nil {
		h.leave(address)
		return nil, err
	}
	w := &Watcher{hub: h, address: address, changed: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[subject]
	if t == nil {
		t = h.open(subject, first) //nolint:contextcheck // the polls outlive the request of the first watcher
	}
	w.topic = t
	t.watchers[w] = struct{}{}
	h.publish(t, first)
	w.wake()
	return w, nil
}

// admit counts a watcher, or returns the reason why it is refused.
func (h *Hub) admit(address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return ErrStopped
	case h.addresses[address] >= h.cfg.MaxPerAddress:
		return ErrAddressFull
	case h.total >= h.cfg.MaxWatchers:
		return ErrFull
	}
	h.total++
	h.addresses[address]++
	h.running.Add(1)
	return nil
}

// leave undoes admit.
func (h *Hub) leave(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.addresses[address]--; h.addresses[address] == 0 {
		delete(h.addresses, address)
	}
	h.running.Done()
}

// open returns a new topic and starts its polls, unless the subject has already ended.
// The caller holds the lock.
func (h *Hub) open(subject string, first Update) *topic {
	ctx, cancel := context.WithCancel(context.Background())
	t := &topic{subject: subject, latest: first.withEvent(), watchers: map[*Watcher]struct{}{}, cancel: cancel}
	if first.Closed {
		return t
	}
	h.topics[subject] = t
	h.running.Add(1)
	go func() {
		defer h.running.Done()
		h.poll(ctx, t)
	}()
	return t
}

// poll polls a topic until ctx ends or the subject does.
func (h *Hub) poll(ctx context.Context, t *topic) {
	timer := time.NewTimer(h.cfg.Interval)
	defer timer.Stop()
	for isFailing := false; ; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		u, err := h.cfg.Poll(ctx, t.subject)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrEnded) {
			u, err = Update{Closed: true}, nil
		}
		if err != nil {
			if !isFailing { // one line for each outage
				h.cfg.Log.WarnContext(ctx, "poll failed", telemetry.KeyEventID, t.subject, telemetry.KeyError, err.Error())
			}
			isFailing = true
			timer.Reset(h.cfg.RetryInterval)
			continue
		}
		isFailing = false
		h.mu.Lock()
		h.publish(t, u)
		h.mu.Unlock()
		if u.Closed {
			return
		}
		timer.Reset(h.cfg.Interval)
	}
}

// publish makes u the latest update of t and wakes the watchers, if it is news. The caller
// holds the lock.
func (h *Hub) publish(t *topic, u Update) {
	if t.latest.Closed || u.Version <= t.latest.Version && !u.Closed {
		return
	}
	t.latest = u.withEvent()
	if u.Closed && h.topics[t.subject] == t {
		delete(h.topics, t.subject) // a later watcher polls anew
	}
	for w := range t.watchers {
		w.wake()
	}
}

// wake tells the watcher that there may be a new update. If the watcher has not fetched
// the previous one yet, it skips that one.
func (w *Watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Changed returns a channel that receives a value when there may be a new update.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Latest returns the newest update.
func (w *Watcher) Latest() Update {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	return w.topic.latest
}

// Close ends the watch. The polls of the subject end with its last watcher.
func (w *Watcher) Close() {
	h, t := w.hub, w.topic
	h.mu.Lock()
	delete(t.watchers, w)
	if len(t.watchers) == 0 {
		t.cancel()
		if h.topics[t.subject] == t {
			delete(h.topics, t.subject)
		}
	}
	h.mu.Unlock()
	h.leave(w.address)
}

// Stop ends all watches, refuses new ones, and waits until every watcher is closed. It
// returns ctx.Err() if ctx ends first.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	if !h.stopped {
		h.stopped = true
		close(h.stopping)
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Watchers returns the number of watchers and of polled subjects.
func (h *Hub) Watchers() (watchers, subjects int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total, len(h.topics)
}
