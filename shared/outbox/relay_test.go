package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
)

var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// bench is a relay with a bus that can fail and a clock that can be set.
type bench struct {
	*outbox.Relay
	t     *testing.T
	store *outboxtest.Store

	mu     sync.Mutex
	now    time.Time
	fail   map[string]error
	bus    []string // ids, as published
	traces map[string]trace.TraceID
	came   chan string
	during func(id string) // called in each publish
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, store: outboxtest.NewStore(), now: day0, fail: map[string]error{}, traces: map[string]trace.TraceID{}, came: make(chan string, 1000)}
	b.Relay = outbox.New(outbox.Config{Store: b.store, Publisher: b, Now: b.clock, Log: slog.New(slog.DiscardHandler)})
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) Publish(ctx context.Context, r outbox.Record) error {
	if b.during != nil {
		b.during(r.ID)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fail[r.ID]; err != nil {
		return err
	}
	b.bus = append(b.bus, r.ID)
	b.traces[r.ID] = trace.SpanContextFromContext(ctx).TraceID()
	b.came <- r.ID
	return nil
}

func (b *bench) add(document string, ids ...string) {
	for _, id := range ids {
		b.store.Add(document, b.clock(), outbox.Record{ID: id, Type: "t", Subject: document, At: b.clock(), Data: []byte("{}")})
	}
}

func (b *bench) published(what string, want ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.bus, want) {
		b.t.Errorf("%s: got %v, want %v", what, b.bus, want)
	}
}

func (b *bench) sweep() error { return b.Sweep(b.t.Context()) }

func (b *bench) swept(what string, want ...string) {
	b.t.Helper()
	if err := b.sweep(); err != nil {
		b.t.Errorf("%s: %v", what, err)
	}
	b.published(what, want...)
}

func (b *bench) left(document string) int {
	b.t.Helper()
	box, err := b.store.Box(b.t.Context(), document)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(box.Records)
}

func TestSweep(t *testing.T) {
	b := newBench(t)
	b.add("d", "1", "2")
	b.swept("at once: who wrote them feeds them")
	b.later(10 * time.Second)
	b.swept("later", "1", "2")
	b.later(time.Hour)
	b.add("d", "3")
	b.later(10 * time.Second)
	b.swept("only what is new", "1", "2", "3")
	if n := b.left("d"); n != 3 {
		t.Errorf("%d records are left, want all for a day", n)
	}
	b.later(23*time.Hour + 10*time.Second)
	b.swept("after a day", "1", "2", "3")
	if n := b.left("d"); n != 1 {
		t.Errorf("%d records are left, want the third", n)
	}
	b.later(2 * time.Hour)
	b.swept("after another", "1", "2", "3")
	if due, err := b.store.DueBoxes(t.Context(), time.Time{}, b.clock().Add(1000*time.Hour), 10); err != nil || len(due) != 0 || b.left("d") != 0 {
		t.Errorf("due: %v, %v; %d left", due, err, b.left("d"))
	}
}

var errAway = errors.New("away")

// A record that cannot be published holds back those behind it, of its document
// only.
func TestOrderIsKeptOverFailures(t *testing.T) {
	b := newBench(t)
	b.add("d", "1", "2", "3")
	b.add("e", "4")
	b.fail["2"] = errAway
	b.later(10 * time.Second)
	if err := b.sweep(); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
	b.published("until it fails", "1", "4")
	delete(b.fail, "2")
	b.later(time.Minute)
	b.swept("then the rest", "1", "4", "2", "3")
}

func TestASweepEndsWhenTheBusIsAway(t *testing.T) {
	b := newBench(t)
	tries := 0
	b.during = func(string) { tries++ }
	for i := range 50 {
		b.add(fmt.Sprint("d", i), fmt.Sprint(i))
		b.fail[fmt.Sprint(i)] = errAway
	}
	b.later(10 * time.Second)
	if err := b.sweep(); !errors.Is(err, errAway) || tries > 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	clear(b.fail)
	b.later(time.Minute)
	if err := b.sweep(); err != nil || len(b.bus) != 50 {
		t.Errorf("%d of 50 published, %v", len(b.bus), err)
	}
}

// Two sweeps at once publish each record once.
func TestSweepsClaim(t *testing.T) {
	b := newBench(t)
	for i := range 20 {
		b.add(fmt.Sprint("d", i), fmt.Sprint(i))
	}
	b.later(10 * time.Second)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := b.sweep(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(b.bus); len(slices.Compact(slices.Clone(b.bus))) != 20 || len(b.bus) != 20 {
		t.Errorf("got %v", b.bus)
	}
}

// What is written while the relay publishes is published too, and nothing twice.
func TestRecordsThatComeMeanwhile(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.during = func(id string) {
		if id == "1" {
			b.add("d", "2")
		}
	}
	b.later(10 * time.Second)
	b.swept("both", "1", "2")
}

// A relay that died after publishing publishes again.
func TestTwiceRatherThanNever(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.later(10 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	b.during = func(string) { cancel() }
	dying := outbox.New(outbox.Config{Store: broken{b.store}, Publisher: b, Now: b.clock, Log: slog.New(slog.DiscardHandler)})
	if err := dying.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.during = nil
	b.later(time.Minute)
	b.swept("again", "1", "1")
}

// broken fails once its caller is gone.
type broken struct{ *outboxtest.Store }

func (s broken) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.ClaimBox(ctx, b, due)
}

func (s broken) SaveBox(ctx context.Context, b outbox.Box, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.SaveBox(ctx, b, due)
}

// await waits for so many to be published.
func (b *bench) await(n int) {
	b.t.Helper()
	for range n {
		select {
		case <-b.came:
		case <-time.After(10 * time.Second):
			b.t.Fatal("not published")
		}
	}
}

func TestFeed(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	in := trace.ContextWithSpanContext(t.Context(), parent)
	b.store.Add("d", b.clock(), outbox.Record{ID: "1", Type: "t", Subject: "d", At: b.clock(), TraceParent: outbox.TraceParent(in)})
	b.Enqueue(in, "d")
	b.Enqueue(in, "gone")
	b.await(1)
	b.mu.Lock()
	got := b.traces["1"]
	b.mu.Unlock()
	if got != parent.TraceID() {
		t.Errorf("trace: got %s, want %s", got, parent.TraceID())
	}
	// What was fed is published, also when it stops.
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint("n", i))
		b.add("d", ids[i])
		b.Enqueue(in, "d")
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.published("all, in order", append([]string{"1"}, ids...)...)
}

// After a failure what is fed is left to the sweep for a while.
// reads counts how often boxes are read.
type reads struct {
	*outboxtest.Store
	n atomic.Int64
}

func (s *reads) Box(ctx context.Context, document string) (outbox.Box, error) {
	s.n.Add(1)
	return s.Store.Box(ctx, document)
}

// What was written a moment ago need not be read, unless another wrote since.
func TestFeedNew(t *testing.T) {
	b := newBench(t)
	store := &reads{Store: b.store}
	relay := outbox.New(outbox.Config{Store: store, Publisher: b, Now: b.clock, Log: slog.New(slog.DiscardHandler)})
	insert := func(document, id string) outbox.Box {
		b.add(document, id)
		return outbox.NewBox(t.Context(), document, []outbox.Fact{{ID: id, Type: "t", Subject: document, At: b.clock(), Data: []byte("{}")}})
	}
	plain := insert("plain", "1")
	changed := insert("changed", "2")
	b.add("changed", "3")
	if got := boxOf(t, b, "plain"); !reflect.DeepEqual(got, plain) {
		t.Fatalf("the box is %+v, and was said to be %+v", got, plain)
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	relay.EnqueueNew(t.Context(), plain)
	relay.EnqueueNew(t.Context(), changed)
	go func() { done <- relay.Run(ctx) }()
	b.await(3)
	stop()
	<-done
	if got := store.n.Load(); got != 1 {
		t.Errorf("boxes were read %d times, want once, where another had written", got)
	}
	if slices.Sort(b.bus); !slices.Equal(b.bus, []string{"1", "2", "3"}) {
		t.Errorf("got %v, want each once", b.bus)
	}
	b.later(10 * time.Second)
	b.swept("all is said to be sent", "1", "2", "3")
}

func boxOf(t *testing.T, b *bench, document string) outbox.Box {
	t.Helper()
	box, err := b.store.Box(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestFeedPauses(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.fail["1"] = errAway
	tried := make(chan string, 10)
	b.during = func(id string) { tried <- id }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.Enqueue(t.Context(), "d")
	<-tried
	stop()
	<-done
	b.add("e", "2")
	b.Enqueue(t.Context(), "e")
	if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.published("nothing")
	clear(b.fail)
	b.later(time.Minute)
	b.swept("by the sweep", "1", "2")
}

// What was sent before a topic was made anew is sent again, once, by whichever
// relay comes first; what was sent afterwards is not.
func TestRewind(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.add("e", "2")
	b.later(10 * time.Second)
	b.swept("sent", "1", "2")
	b.later(time.Hour)
	made := b.clock()
	b.later(2 * time.Minute)
	b.add("d", "3")
	b.add("f", "4")
	b.later(10 * time.Second)
	b.swept("after it was made", "1", "2", "3", "4")
	b.later(time.Hour)
	other := outbox.New(outbox.Config{Store: b.store, Publisher: b, Now: b.clock, Log: slog.New(slog.DiscardHandler)})
	if err := other.Rewind(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	b.swept("what is older", "1", "2", "3", "4", "1", "2")
	if err := b.Rewind(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	b.swept("only once", "1", "2", "3", "4", "1", "2")
	if n := b.left("d"); n != 2 {
		t.Errorf("%d records are left, want both", n)
	}
	b.later(25 * time.Hour)
	b.swept("after a day", "1", "2", "3", "4", "1", "2")
	if n := b.left("d") + b.left("e") + b.left("f"); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// Clocks differ: what was sent a moment after a topic was made may have been sent
// before. That it was sent again is remembered, although the same moment goes on.
func TestRewindMindsTheClocks(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.later(10 * time.Second)
	b.swept("sent", "1")
	made := b.clock().Add(-5 * time.Second)
	if err := b.Rewind(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.later(time.Second)
		b.swept("again", "1", "1")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	b.add("e", "2")
	b.Enqueue(t.Context(), "e")
	if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.later(time.Minute)
	b.swept("what is new goes to the new one", "1", "1", "2")
}

// A topic that is made anew while a record is on its way does not have it.
func TestRewindWhilePublishing(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.later(10 * time.Second)
	var made time.Time
	b.during = func(string) {
		b.later(10 * time.Minute) // it stalled
		made = b.clock().Add(-5 * time.Minute)
		b.during = nil
	}
	b.swept("into the old one", "1")
	if err := b.Rewind(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	b.swept("into the new one", "1", "1")
}

// Records that cannot be sent again, more of them than end a sweep, keep no other
// from it.
func TestRewindOverFailures(t *testing.T) {
	b := newBench(t)
	for i := range 10 {
		b.add(fmt.Sprint("d", i), fmt.Sprint(i))
	}
	b.later(10 * time.Second)
	if err := b.sweep(); err != nil {
		t.Fatal(err)
	}
	b.bus = nil
	b.later(time.Hour)
	if err := b.Rewind(t.Context(), b.clock()); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		b.fail[fmt.Sprint(i)] = errAway
	}
	for range 3 {
		if err := b.sweep(); !errors.Is(err, errAway) {
			t.Errorf("got %v", err)
		}
		b.later(time.Minute)
	}
	if len(b.bus) != 6 {
		t.Errorf("got %v, want the six others", b.bus)
	}
	clear(b.fail)
	if err := b.sweep(); err != nil || len(b.bus) != 10 {
		t.Errorf("got %v, %v", b.bus, err)
	}
}

// What one sweep is sending again, another leaves alone.
func TestRewindClaims(t *testing.T) {
	b := newBench(t)
	b.add("d", "1")
	b.later(10 * time.Second)
	b.swept("sent", "1")
	b.later(time.Hour)
	if err := b.Rewind(t.Context(), b.clock()); err != nil {
		t.Fatal(err)
	}
	b.later(time.Hour)
	b.during = func(string) {
		b.during = nil
		// It gets as far as this, by another clock.
		b.later(-10 * time.Second)
		defer b.later(10 * time.Second)
		other := outbox.New(outbox.Config{Store: b.store, Publisher: b, Now: b.clock, Log: slog.New(slog.DiscardHandler)})
		if err := other.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	b.swept("again", "1", "1")
}
