package outbox_test

import (
	"cmp"
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

var (
	day0           = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	errUnreachable = errors.New("the bus is unreachable")
)

// harness is a relay whose clock the test sets. The harness is also its bus.
type harness struct {
	*outbox.Relay
	t     *testing.T
	store *outboxtest.Store

	mu        sync.Mutex
	now       time.Time
	failures  map[string]error  // by record id
	published []string          // record ids, in order
	documents map[string]string // by record id
	traces    map[string]trace.TraceID
	arrived   chan string     // receives each published record id
	onPublish func(id string) // called at the start of each publish
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{
		t: t, store: outboxtest.NewStore(), now: day0,
		failures: map[string]error{}, documents: map[string]string{}, traces: map[string]trace.TraceID{}, arrived: make(chan string, 1000),
	}
	h.Relay = h.newRelay(h.store)
	return h
}

// newRelay returns another relay on the same bus and clock.
func (h *harness) newRelay(store outbox.Store) *outbox.Relay {
	return outbox.New(outbox.Config{Store: store, Publisher: h, Now: h.clock, Log: slog.New(slog.DiscardHandler)})
}

func (h *harness) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Publish implements outbox.Publisher.
func (h *harness) Publish(ctx context.Context, r outbox.Record) error {
	if h.onPublish != nil {
		h.onPublish(r.ID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.failures[r.ID]; err != nil {
		return err
	}
	h.published = append(h.published, r.ID)
	h.documents[r.ID] = r.Subject
	h.traces[r.ID] = trace.SpanContextFromContext(ctx).TraceID()
	h.arrived <- r.ID
	return nil
}

func (h *harness) add(document string, ids ...string) {
	for _, id := range ids {
		h.store.Add(document, h.clock(), outbox.Record{ID: id, Type: "t", Subject: document, At: h.clock(), Data: []byte("{}")})
	}
}

// wantPublished checks that the wanted records were published, those of each document in
// this order. The order of different documents does not matter.
func (h *harness) wantPublished(when string, want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	byDocument := func(ids []string) []string {
		sorted := slices.Clone(ids)
		slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(h.documents[a], h.documents[b]) })
		return sorted
	}
	if !slices.Equal(byDocument(h.published), byDocument(want)) {
		h.t.Errorf("published %s: got %v, want %v", when, h.published, want)
	}
}

func (h *harness) sweep() error { return h.Sweep(h.t.Context()) }

func (h *harness) wantSweep(when string, want ...string) {
	h.t.Helper()
	if err := h.sweep(); err != nil {
		h.t.Errorf("sweep %s: %v", when, err)
	}
	h.wantPublished(when, want...)
}

func (h *harness) readBox(document string) outbox.Box {
	h.t.Helper()
	box, err := h.store.Box(h.t.Context(), document)
	if err != nil {
		h.t.Fatal(err)
	}
	return box
}

func (h *harness) wantRecordCount(document string, want int) {
	h.t.Helper()
	if got := len(h.readBox(document).Records); got != want {
		h.t.Errorf("records of %s: got %d, want %d", document, got, want)
	}
}

func TestSweepPublishesOnceAndRetainsForADay(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1", "2")
	h.wantSweep("at once, while the writer's relay may publish")
	h.advance(10 * time.Second)
	h.wantSweep("later", "1", "2")
	h.advance(time.Hour)
	h.add("d", "3")
	h.advance(10 * time.Second)
	h.wantSweep("after one more record", "1", "2", "3")
	h.wantRecordCount("d", 3)
	h.advance(23*time.Hour + 10*time.Second)
	h.wantSweep("after a day", "1", "2", "3")
	h.wantRecordCount("d", 1)
	h.advance(2 * time.Hour)
	h.wantSweep("after the last retention", "1", "2", "3")
	h.wantRecordCount("d", 0)
	for name, find := range map[string]func(context.Context, time.Time, int) ([]outbox.Box, error){
		"due": h.store.DueBoxes, "retained": h.store.RetainedBoxes,
	} {
		if boxes, err := find(t.Context(), h.clock().Add(1000*time.Hour), 10); err != nil || len(boxes) != 0 {
			t.Errorf("%s boxes: got %v, %v, want none", name, boxes, err)
		}
	}
}

// A record that cannot be published holds back the later records of its document, but
// not those of other documents.
func TestFailureKeepsTheOrderOfADocument(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1", "2", "3")
	h.add("e", "4")
	h.failures["2"] = errUnreachable
	h.advance(10 * time.Second)
	if err := h.sweep(); !errors.Is(err, errUnreachable) {
		t.Errorf("sweep: got %v, want %v", err, errUnreachable)
	}
	h.wantPublished("before the failure", "1", "4")
	delete(h.failures, "2")
	h.advance(time.Minute)
	h.wantSweep("after the failure", "1", "4", "2", "3")
}

func TestSweepStopsWhenTheBusIsUnreachable(t *testing.T) {
	h := newHarness(t)
	var attempts atomic.Int64
	h.onPublish = func(string) { attempts.Add(1) }
	for i := range 50 {
		h.add(fmt.Sprint("d", i), fmt.Sprint(i))
		h.failures[fmt.Sprint(i)] = errUnreachable
	}
	h.advance(10 * time.Second)
	if err := h.sweep(); !errors.Is(err, errUnreachable) || attempts.Load() > 10 {
		t.Errorf("sweep: got %v after %d attempts, want %v after at most 10: 3 failures and 7 boxes in progress", err, attempts.Load(), errUnreachable)
	}
	clear(h.failures)
	h.advance(time.Minute)
	if err := h.sweep(); err != nil || len(h.published) != 50 {
		t.Errorf("sweep: published %d records, %v, want 50", len(h.published), err)
	}
}

func TestConcurrentSweepsPublishEachRecordOnce(t *testing.T) {
	h := newHarness(t)
	for i := range 20 {
		h.add(fmt.Sprint("d", i), fmt.Sprint(i))
	}
	h.advance(10 * time.Second)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := h.sweep(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(h.published); len(slices.Compact(slices.Clone(h.published))) != 20 || len(h.published) != 20 {
		t.Errorf("published: got %v, want 20 records, each once", h.published)
	}
}

func TestRecordsAddedDuringADeliveryArePublishedToo(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.onPublish = func(id string) {
		if id == "1" {
			h.add("d", "2")
		}
	}
	h.advance(10 * time.Second)
	h.wantSweep("with the added record", "1", "2")
}

// A relay dies after it has published a record and before it has saved the time. The next
// sweep publishes the record again.
func TestCrashAfterPublishingRepeatsTheRecord(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	h.onPublish = func(string) { cancel() }
	dying := h.newRelay(storeWithContext{h.store})
	if err := dying.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sweep of the dying relay: got %v, want %v", err, context.Canceled)
	}
	h.onPublish = nil
	h.advance(time.Minute)
	h.wantSweep("by the next relay", "1", "1")
}

// storeWithContext fails writes whose context has ended, as a real store does.
type storeWithContext struct{ *outboxtest.Store }

func (s storeWithContext) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.ClaimBox(ctx, b, due)
}

func (s storeWithContext) SaveBox(ctx context.Context, b outbox.Box) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.SaveBox(ctx, b)
}

// await waits until n more records have been published.
func (h *harness) await(n int) {
	h.t.Helper()
	for range n {
		select {
		case <-h.arrived:
		case <-time.After(10 * time.Second):
			h.t.Fatalf("timed out waiting for %d published records", n)
		}
	}
}

// run starts the relay. The returned function stops it and waits until it has ended.
func (h *harness) run(relay *outbox.Relay) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	return func() {
		h.t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			h.t.Errorf("run: got %v, want %v", err, context.Canceled)
		}
	}
}

func TestEnqueuedRecordsArePublishedInTheWritersTrace(t *testing.T) {
	h := newHarness(t)
	stop := h.run(h.Relay)
	writer := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(t.Context(), writer)
	h.store.Add("d", h.clock(), outbox.Record{ID: "1", Type: "t", Subject: "d", At: h.clock(), TraceParent: outbox.TraceParent(ctx)})
	h.Enqueue(ctx, "d")
	h.Enqueue(ctx, "deleted")
	h.await(1)
	h.mu.Lock()
	got := h.traces["1"]
	h.mu.Unlock()
	if got != writer.TraceID() {
		t.Errorf("trace: got %s, want %s", got, writer.TraceID())
	}
	// Queued documents are published even if the relay stops now.
	want := []string{"1"}
	for i := range 100 {
		id := fmt.Sprint("n", i)
		h.add("d", id)
		h.Enqueue(ctx, "d")
		want = append(want, id)
	}
	stop()
	h.wantPublished("when the relay has stopped", want...)
}

// readCounter counts how often boxes are read.
type readCounter struct {
	*outboxtest.Store
	n atomic.Int64
}

func (s *readCounter) Box(ctx context.Context, document string) (outbox.Box, error) {
	s.n.Add(1)
	return s.Store.Box(ctx, document)
}

// The relay publishes a new box as it was inserted. It reads the box only if another
// write has changed it since.
func TestEnqueueNewSavesReadingTheBox(t *testing.T) {
	h := newHarness(t)
	store := &readCounter{Store: h.store}
	relay := h.newRelay(store)
	insert := func(document, id string) outbox.Box {
		h.add(document, id)
		return outbox.NewBox(t.Context(), document, []outbox.Fact{{ID: id, Type: "t", Subject: document, At: h.clock(), Data: []byte("{}")}})
	}
	unchanged := insert("unchanged", "1")
	changed := insert("changed", "2")
	h.add("changed", "3")
	if got := h.readBox("unchanged"); !reflect.DeepEqual(got, unchanged) {
		t.Fatalf("stored box:\n got %+v\nwant %+v", got, unchanged)
	}
	relay.EnqueueNew(t.Context(), unchanged)
	relay.EnqueueNew(t.Context(), changed)
	stop := h.run(relay)
	h.await(3)
	stop()
	if got := store.n.Load(); got != 1 {
		t.Errorf("reads of boxes: got %d, want 1, of the changed box", got)
	}
	if slices.Sort(h.published); !slices.Equal(h.published, []string{"1", "2", "3"}) {
		t.Errorf("published: got %v, want each record once", h.published)
	}
	h.advance(10 * time.Second)
	h.wantSweep("when everything was saved as published", "1", "2", "3")
}

func TestFailureLeavesEnqueuedDocumentsToTheSweep(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.failures["1"] = errUnreachable
	attempted := make(chan string, 10)
	h.onPublish = func(id string) { attempted <- id }
	stop := h.run(h.Relay)
	h.Enqueue(t.Context(), "d")
	<-attempted
	stop()
	h.add("e", "2")
	h.Enqueue(t.Context(), "e")
	h.run(h.Relay)()
	h.wantPublished("during the pause")
	clear(h.failures)
	h.advance(time.Minute)
	h.wantSweep("by the sweep", "1", "2")
}

// Records that were published before the topic was recreated are published again, by
// whichever relay sweeps first. Records that were published afterwards are not.
func TestRewindPublishesLostRecordsOnceMore(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.add("e", "2")
	h.advance(10 * time.Second)
	h.wantSweep("before the topic is recreated", "1", "2")
	h.advance(time.Hour)
	recreated := h.clock()
	h.advance(2 * time.Minute)
	h.add("d", "3")
	h.add("f", "4")
	h.advance(10 * time.Second)
	h.wantSweep("after the topic is recreated", "1", "2", "3", "4")
	h.advance(time.Hour)
	if err := h.newRelay(h.store).Rewind(t.Context(), recreated); err != nil {
		t.Fatal(err)
	}
	h.wantSweep("after the rewind", "1", "2", "3", "4", "1", "2")
	if err := h.Rewind(t.Context(), recreated); err != nil {
		t.Fatal(err)
	}
	h.wantSweep("after the same rewind", "1", "2", "3", "4", "1", "2")
	h.wantRecordCount("d", 2)
	h.advance(25 * time.Hour)
	h.wantSweep("after a day", "1", "2", "3", "4", "1", "2")
	for _, document := range []string{"d", "e", "f"} {
		h.wantRecordCount(document, 0)
	}
}

// Clocks differ, so a record that seems to have been sent a moment after the topic was
// recreated may have been sent before. It is published again, but only once, even if
// more sweeps follow within the assumed clock skew.
func TestRewindAllowsForClockSkew(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	h.wantSweep("before the rewind", "1")
	if err := h.Rewind(t.Context(), h.clock().Add(-5*time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h.advance(time.Second)
		h.wantSweep("after the rewind", "1", "1")
	}
	h.add("e", "2")
	h.Enqueue(t.Context(), "e")
	h.run(h.Relay)()
	h.advance(time.Minute)
	h.wantSweep("after a new record", "1", "1", "2")
}

// A watermark never decreases. One in the far future would make every record count as lost
// for ever.
func TestRewindRefusesATimeInTheFuture(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	h.wantSweep("before the rewind", "1")
	h.advance(10 * time.Minute)
	if err := h.Rewind(t.Context(), h.clock().AddDate(1, 0, 0)); !errors.Is(err, outbox.ErrFuture) {
		t.Errorf("got %v, want ErrFuture", err)
	}
	h.wantSweep("after the refusal", "1")
	if err := h.Rewind(t.Context(), h.clock().Add(time.Second)); err != nil {
		t.Errorf("a clock that is a second ahead: got %v, want no error", err)
	}
	h.wantSweep("after the rewind", "1", "1")
}

func TestRecordPublishedWhileTheTopicIsRecreatedCountsAsLost(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	var recreated time.Time
	h.onPublish = func(string) {
		h.advance(10 * time.Minute) // the call stalls
		recreated = h.clock().Add(-5 * time.Minute)
		h.onPublish = nil
	}
	h.wantSweep("to the old topic", "1")
	if err := h.Rewind(t.Context(), recreated); err != nil {
		t.Fatal(err)
	}
	h.wantSweep("to the new topic", "1", "1")
}

// Some boxes cannot be published again, and they are enough to end a sweep early. Later
// sweeps still reach the other boxes.
func TestRewindContinuesPastFailures(t *testing.T) {
	h := newHarness(t)
	for i := range 10 {
		h.add(fmt.Sprint("d", i), fmt.Sprint(i))
	}
	h.advance(10 * time.Second)
	if err := h.sweep(); err != nil {
		t.Fatal(err)
	}
	h.published = nil
	h.advance(time.Hour)
	if err := h.Rewind(t.Context(), h.clock()); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		h.failures[fmt.Sprint(i)] = errUnreachable
	}
	for range 3 {
		if err := h.sweep(); !errors.Is(err, errUnreachable) {
			t.Errorf("sweep: got %v, want %v", err, errUnreachable)
		}
		for i := range 10 {
			if b := h.readBox(fmt.Sprint("d", i)); b.Due.IsZero() == b.Trim.IsZero() {
				t.Errorf("got %+v, want a box with one of the times", b)
			}
		}
		h.advance(time.Minute)
	}
	if len(h.published) != 6 {
		t.Errorf("published: got %v, want the six other records", h.published)
	}
	clear(h.failures)
	if err := h.sweep(); err != nil || len(h.published) != 10 {
		t.Errorf("sweep: published %v, %v, want all ten records", h.published, err)
	}
}

// While one sweep publishes a box again, another sweep leaves the box alone, even if the
// other relay's clock is behind.
func TestBoxThatIsPublishedAgainIsClaimed(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	h.wantSweep("before the rewind", "1")
	h.advance(time.Hour)
	if err := h.Rewind(t.Context(), h.clock()); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Hour)
	h.onPublish = func(string) {
		h.onPublish = nil
		h.advance(-10 * time.Second)
		defer h.advance(10 * time.Second)
		if err := h.newRelay(h.store).Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	h.wantSweep("after the rewind", "1", "1")
}
