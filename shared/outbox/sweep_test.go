package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
)

// spyStore is a store that calls functions before or after its methods. Each function may
// be nil.
type spyStore struct {
	*outboxtest.Store
	afterDue       func()                   // after DueBoxes
	beforeRetained func(before time.Time)   // before RetainedBoxes
	afterRetained  func(found []outbox.Box) // after RetainedBoxes
	claimed        func(document string)    // after a claim, also one that is lost
	saved          func(err error)          // after a save
}

func (s *spyStore) DueBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	boxes, err := s.Store.DueBoxes(ctx, t, limit)
	if s.afterDue != nil {
		s.afterDue()
	}
	return boxes, err
}

func (s *spyStore) RetainedBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	if s.beforeRetained != nil {
		s.beforeRetained(t)
	}
	boxes, err := s.Store.RetainedBoxes(ctx, t, limit)
	if s.afterRetained != nil {
		s.afterRetained(boxes)
	}
	return boxes, err
}

func (s *spyStore) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	err := s.Store.ClaimBox(ctx, b, due)
	if s.claimed != nil {
		s.claimed(b.Document)
	}
	return err
}

func (s *spyStore) SaveBox(ctx context.Context, b outbox.Box) error {
	err := s.Store.SaveBox(ctx, b)
	if s.saved != nil {
		s.saved(err)
	}
	return err
}

// addMany adds one record to each of n documents. The ids of both begin with prefix.
func (h *harness) addMany(prefix string, n int) {
	for i := range n {
		h.add(fmt.Sprintf("%s%04d", prefix, i), fmt.Sprintf("%s-record%04d", prefix, i))
	}
}

// publishMany adds and publishes one record of each of n documents. It then forgets which
// records were published.
func (h *harness) publishMany(prefix string, n int) {
	h.t.Helper()
	h.addMany(prefix, n)
	h.advance(10 * time.Second)
	if err := h.sweep(); err != nil || len(h.published) != n {
		h.t.Fatalf("sweep: published %d records, %v, want %d", len(h.published), err, n)
	}
	h.published = nil
	for len(h.arrived) > 0 {
		<-h.arrived
	}
}

// A day after a rush, many boxes need trimming. A sweep publishes a new record before it
// looks for them, and does not handle a box with records that are retained.
func TestSweepPublishesBeforeItTrims(t *testing.T) {
	h := newHarness(t)
	h.publishMany("rush", 200)
	h.advance(25 * time.Hour)
	h.publishMany("retained", 200)
	h.add("new", "news")
	h.advance(10 * time.Second)
	retained := h.readBox("retained0000")
	store := &spyStore{Store: h.store}
	store.beforeRetained = func(time.Time) { h.wantPublished("before the sweep trims", "news") }
	if err := h.newRelay(store).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.wantPublished("after the sweep", "news")
	h.wantRecordCount("rush0000", 0)
	h.wantRecordCount("rush0199", 0)
	if got := h.readBox("retained0000"); got.Version != retained.Version {
		t.Errorf("a retained box: got version %d, want %d", got.Version, retained.Version)
	}
}

// A store that always finds a page of boxes to trim does not keep a sweep from ending.
func TestTrimmingIsBounded(t *testing.T) {
	h := newHarness(t)
	h.publishMany("d", 64)
	h.advance(25 * time.Hour)
	expired := h.readBox("d0000")
	store := &endlessStore{Store: h.store, box: expired}
	if err := h.newRelay(store).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := store.saves.Load(); got != 9600 {
		t.Errorf("got %d trimmed boxes, want 9600", got)
	}
}

// endlessStore always finds a page of copies of box to trim.
type endlessStore struct {
	*outboxtest.Store
	box   outbox.Box
	saves atomic.Int64
}

func (s *endlessStore) RetainedBoxes(_ context.Context, _ time.Time, limit int) ([]outbox.Box, error) {
	return slices.Repeat([]outbox.Box{s.box}, limit), nil
}

func (s *endlessStore) SaveBox(context.Context, outbox.Box) error {
	s.saves.Add(1)
	return nil
}

// Two relays read the same page of boxes to trim. The second one leaves the rest to the
// first.
func TestTrimmingStopsWhenAnotherRelayTrims(t *testing.T) {
	h := newHarness(t)
	h.publishMany("d", 200)
	h.advance(25 * time.Hour)
	pages := 0
	store := &spyStore{Store: h.store}
	store.afterRetained = func([]outbox.Box) {
		if pages++; pages > 1 {
			return
		}
		other := &spyStore{Store: h.store}
		saves := atomic.Int64{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		other.saved = func(error) {
			if saves.Add(1) == 64 {
				cancel() // the other relay has trimmed one page
			}
		}
		if err := h.newRelay(other).Sweep(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("sweep of the other relay: got %v, want %v", err, context.Canceled)
		}
	}
	if err := h.newRelay(store).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pages != 1 {
		t.Errorf("got %d pages, want 1", pages)
	}
	h.wantRecordCount("d0199", 1)
	if err := h.sweep(); err != nil {
		t.Fatal(err)
	}
	h.wantRecordCount("d0199", 0)
	h.wantPublished("by trimming")
}

func TestSweepReturnsTheFailuresOfItsQueriesAndSaves(t *testing.T) {
	h := newHarness(t)
	h.publishMany("d", 2)
	h.advance(25 * time.Hour)
	h.add("new", "news")
	h.advance(10 * time.Second)
	sweep := func(name string, store *failingStore) {
		t.Helper()
		store.Store = h.store
		if err := h.newRelay(store).Sweep(t.Context()); !errors.Is(err, errUnreachable) {
			t.Errorf("%s: got %v, want %v", name, err, errUnreachable)
		}
	}
	sweep("save", &failingStore{save: errUnreachable})
	h.wantRecordCount("d0000", 1)
	h.wantPublished("before a failed save", "news")
	sweep("retained boxes", &failingStore{retained: errUnreachable})
	h.advance(time.Minute)
	sweep("due boxes", &failingStore{due: errUnreachable})
	h.wantRecordCount("d0000", 0) // a failing query does not keep the sweep from trimming
}

// failingStore is a store whose methods fail, except those whose error is nil.
type failingStore struct {
	*outboxtest.Store
	due, retained, save error
}

func (s *failingStore) DueBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	if s.due != nil {
		return nil, s.due
	}
	return s.Store.DueBoxes(ctx, t, limit)
}

func (s *failingStore) RetainedBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	if s.retained != nil {
		return nil, s.retained
	}
	return s.Store.RetainedBoxes(ctx, t, limit)
}

func (s *failingStore) SaveBox(ctx context.Context, b outbox.Box) error {
	if s.save != nil {
		return s.save
	}
	return s.Store.SaveBox(ctx, b)
}

// A record is added to a box whose old record has expired. Trimming removes the old record
// and keeps the new one, which stays due.
func TestTrimmingKeepsNewRecords(t *testing.T) {
	h := newHarness(t)
	h.publishMany("d", 1)
	h.advance(25 * time.Hour)
	h.add("d0000", "new")
	h.wantSweep("while the writer's relay may publish")
	h.wantRecordCount("d0000", 1)
	h.advance(10 * time.Second)
	h.wantSweep("later", "new")
	h.advance(25 * time.Hour)
	h.wantSweep("after a day", "new")
	h.wantRecordCount("d0000", 0)
}

// The oldest record of a box has expired when the topic is recreated. The later one is
// published again, even though many boxes with nothing but expired records come first.
func TestRewindPublishesTheRecordsThatHaveNotExpired(t *testing.T) {
	h := newHarness(t)
	h.publishMany("old", 200)
	h.publishMany("d", 1)
	h.advance(12 * time.Hour)
	h.add("d0000", "later")
	h.advance(10 * time.Second)
	h.wantSweep("before the topic is recreated", "later")
	h.advance(13 * time.Hour)
	store := &spyStore{Store: h.store}
	var claims atomic.Int64
	store.claimed = func(string) { claims.Add(1) }
	relay := h.newRelay(store)
	if err := relay.Rewind(t.Context(), h.clock()); err != nil {
		t.Fatal(err)
	}
	if err := relay.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.wantPublished("after the rewind", "later", "later")
	h.wantRecordCount("d0000", 1)
	h.wantRecordCount("old0000", 0)
	if got := claims.Load(); got != 1 {
		t.Errorf("got %d claims, want 1, of the box with a lost record", got)
	}
}

// While one sweep publishes a due box, another sweep leaves the box alone.
func TestDueBoxIsClaimed(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	h.onPublish = func(string) {
		h.onPublish = nil
		if err := h.newRelay(h.store).Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	h.wantSweep("by two relays", "1")
}

// A relay that crashed has claimed a box. Its claim keeps the box from other sweeps until it
// expires.
func TestClaimExpires(t *testing.T) {
	h := newHarness(t)
	h.add("d", "1")
	h.advance(10 * time.Second)
	if err := h.store.ClaimBox(t.Context(), h.readBox("d"), h.clock().Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	h.advance(29 * time.Second)
	h.wantSweep("before the claim has expired")
	h.advance(10 * time.Second)
	h.wantSweep("after the claim has expired", "1")
}

// blockingBus is a bus whose calls block until the test releases them.
type blockingBus struct {
	release   chan struct{} // each value releases one call; closed to release all
	mu        sync.Mutex
	inFlight  map[string]bool // documents
	most      int             // of inFlight
	published map[string][]string
}

func newBlockingBus() *blockingBus {
	return &blockingBus{release: make(chan struct{}), inFlight: map[string]bool{}, published: map[string][]string{}}
}

func (b *blockingBus) Publish(_ context.Context, r outbox.Record) error {
	b.mu.Lock()
	if b.inFlight[r.Subject] {
		b.mu.Unlock()
		return errors.New("two records of one document at the same time")
	}
	b.inFlight[r.Subject] = true
	b.most = max(b.most, len(b.inFlight))
	b.published[r.Subject] = append(b.published[r.Subject], r.ID)
	b.mu.Unlock()
	<-b.release
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.inFlight, r.Subject)
	return nil
}

func (b *blockingBus) documents() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var documents []string
	for document := range b.inFlight {
		documents = append(documents, document)
	}
	slices.Sort(documents)
	return documents
}

// A sweep publishes eight documents at the same time, but the records of one document one
// after the other. It starts at random within its page, so that relays that read the same
// page start with different documents.
func TestSweepPublishesEightDocumentsAtOnce(t *testing.T) {
	var started []string // the first documents of each relay
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			store, bus := outboxtest.NewStore(), newBlockingBus()
			written := time.Now()
			for i := range 50 {
				document := fmt.Sprintf("d%02d", i)
				for n := range 3 {
					store.Add(document, written.Add(time.Duration(i)*time.Millisecond), outbox.Record{ID: fmt.Sprint(n), Subject: document, At: written})
				}
			}
			relay := outbox.New(outbox.Config{
				Store: store, Publisher: bus, Log: slog.New(slog.DiscardHandler),
				Now: func() time.Time { return written.Add(time.Minute) },
			})
			swept := make(chan error, 1)
			go func() { swept <- relay.Sweep(t.Context()) }()
			for range 5 {
				synctest.Wait() // until all calls are blocked
				if got := bus.documents(); len(got) != 8 {
					t.Errorf("documents in progress: got %v, want 8", got)
				}
				if len(bus.published) == 8 {
					started = append(started, strings.Join(bus.documents(), " "))
				}
				bus.release <- struct{}{}
			}
			close(bus.release)
			if err := <-swept; err != nil {
				t.Fatal(err)
			}
			if bus.most != 8 || len(bus.published) != 50 {
				t.Errorf("got %d documents, at most %d at the same time, want 50 and 8", len(bus.published), bus.most)
			}
			for document, ids := range bus.published {
				if !slices.Equal(ids, []string{"0", "1", "2"}) {
					t.Errorf("%s: got records %v, want them once and in order", document, ids)
				}
			}
		})
	}
	if slices.Sort(started); len(slices.Compact(started)) < 3 {
		t.Errorf("got relays that start with the documents %q, want three different sets", started)
	}
}

// Another relay handles all boxes of the page that a sweep has just read. The sweep stops
// after a few lost claims and reads the next page.
func TestSweepLeavesAPageThatAnotherRelayHandles(t *testing.T) {
	h := newHarness(t)
	h.addMany("d", 64)
	h.advance(10 * time.Second)
	store := &spyStore{Store: h.store}
	reads := 0
	store.afterDue = func() {
		if reads++; reads > 1 {
			return
		}
		if err := h.sweep(); err != nil {
			t.Error(err)
		}
		h.add("late", "last")
		h.advance(10 * time.Second)
	}
	var claims atomic.Int64
	store.claimed = func(document string) {
		if document != "late" {
			claims.Add(1)
		}
	}
	if err := h.newRelay(store).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := claims.Load(); got < 8 || got > 15 {
		t.Errorf("got %d lost claims, want 8, and those of at most 7 boxes in progress", got)
	}
	if len(h.published) != 65 || !slices.Contains(h.published, "last") {
		t.Errorf("got %d published records, want each of 65 once", len(h.published))
	}
}

// slowBus is a bus that needs about a second for each record.
type slowBus struct{ published atomic.Int64 }

func (b *slowBus) Publish(ctx context.Context, _ outbox.Record) error {
	select {
	case <-time.After(time.Second + time.Millisecond): // so that no call ends at the deadline
		b.published.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A sweep ends in time, with every started box published and saved. The next one continues.
func TestSweepStartsNoBoxBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, bus := outboxtest.NewStore(), &slowBus{}
		for i := range 200 {
			id := fmt.Sprint(i)
			store.Add(id, time.Now(), outbox.Record{ID: id, Subject: id, At: time.Now()})
		}
		began := time.Now()
		relay := outbox.New(outbox.Config{
			Store: store, Publisher: bus, Log: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.Now().Add(time.Minute) },
		})
		for i, want := range []int64{160, 200} {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			if err := relay.Sweep(ctx); err != nil {
				t.Errorf("sweep %d: %v", i+1, err)
			}
			cancel()
			if got := bus.published.Load(); got != want {
				t.Errorf("after sweep %d: got %d published records, want %d", i+1, got, want)
			}
			left, err := store.DueBoxes(t.Context(), time.Now().Add(time.Hour), 1000)
			if err != nil || int64(len(left)) != 200-want {
				t.Errorf("after sweep %d: got %d due boxes, %v, want %d", i+1, len(left), err, 200-want)
			}
		}
		if got := time.Since(began).Truncate(time.Second); got != 25*time.Second {
			t.Errorf("got two sweeps in %s, want 20 s and 5 s", got)
		}
	})
}

// The relay reports the age of the oldest record that was never published.
func TestSweepReportsTheBacklog(t *testing.T) {
	h := newHarness(t)
	var ages []time.Duration
	relay := outbox.New(outbox.Config{
		Store: h.store, Publisher: h, Now: h.clock, Log: slog.New(slog.DiscardHandler),
		Backlog: func(_ context.Context, age time.Duration) { ages = append(ages, age) },
	})
	want := func(state string, wantErr error, want time.Duration) {
		t.Helper()
		ages = nil
		err := relay.Sweep(t.Context())
		if !errors.Is(err, wantErr) || !slices.Equal(ages, []time.Duration{want}) {
			t.Errorf("%s: got ages %v, %v, want %s, %v", state, ages, err, want, wantErr)
		}
	}
	want("no records", nil, 0)
	h.add("d", "1")
	h.failures["1"] = errUnreachable
	h.advance(time.Second)
	want("a young record", nil, 0)
	h.advance(time.Minute)
	h.add("e", "2")
	h.advance(time.Minute)
	want("a record that waits for two minutes", errUnreachable, 2*time.Minute+time.Second)
	h.advance(time.Minute)
	want("after a failure", errUnreachable, 3*time.Minute+time.Second)
	clear(h.failures)
	h.advance(time.Minute)
	want("before the record is published", nil, 4*time.Minute+time.Second)
	want("after the record is published", nil, 0)
	if err := h.Rewind(t.Context(), h.clock()); err != nil {
		t.Fatal(err)
	}
	h.failures["1"] = errUnreachable
	want("with lost records", errUnreachable, 0)
	h.advance(time.Minute)
	want("with a lost record that is due", errUnreachable, 0)
	clear(h.failures)
	h.addMany("full", 100)
	h.advance(time.Hour)
	want("with more than a page", nil, time.Hour)
}

// A sweep publishes new records before it publishes lost records again.
func TestSweepPublishesNewRecordsBeforeLostOnes(t *testing.T) {
	h := newHarness(t)
	h.publishMany("lost", 100)
	h.advance(time.Hour)
	if err := h.Rewind(t.Context(), h.clock()); err != nil {
		t.Fatal(err)
	}
	h.addMany("new", 100)
	h.advance(10 * time.Second)
	if err := h.sweep(); err != nil || len(h.published) != 200 {
		t.Fatalf("sweep: published %d records, %v, want 200", len(h.published), err)
	}
	for i, id := range h.published {
		if isNew := strings.HasPrefix(id, "new"); isNew != (i < 100) {
			t.Errorf("published record %d: got %s, want the new ones first", i, id)
		}
	}
}

// However records are added, published, lost and trimmed, and whichever of these fail, a
// sweep finds every box that needs it: a box with an unpublished record is due, and one with
// published records is due or is trimmed when its first retention ends. In the end, every
// record was published, those of each document in order.
func TestEveryBoxIsFoundByASweep(t *testing.T) {
	const documents = 5
	for seed := range uint64(50) {
		h := newHarness(t)
		random := rand.New(rand.NewPCG(seed, 0))
		added := map[string][]string{}
		for n := range 100 {
			document := fmt.Sprint("d", random.IntN(documents))
			var failure string
			switch random.IntN(6) {
			case 0, 1:
				id := fmt.Sprint(document, "-", n)
				h.add(document, id)
				added[document] = append(added[document], id)
			case 2:
				if ids := added[document]; len(ids) > 0 {
					failure = ids[random.IntN(len(ids))]
					h.failures[failure] = errUnreachable
				}
				_ = h.sweep() // fails if it publishes the record
				clear(h.failures)
			case 3:
				if err := h.sweep(); err != nil {
					t.Fatal(err)
				}
			case 4:
				if err := h.Rewind(t.Context(), h.clock()); err != nil {
					t.Fatal(err)
				}
			case 5:
				h.advance(time.Duration(random.IntN(10*3600)) * time.Second)
			}
			h.checkBoxes(fmt.Sprintf("seed %d, operation %d", seed, n), added)
		}
		h.advance(time.Hour)
		if err := h.sweep(); err != nil {
			t.Fatal(err)
		}
		for document, want := range added {
			var got []string
			for _, id := range h.published {
				if h.documents[id] == document && !slices.Contains(got, id) {
					got = append(got, id)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: %s: got records %v, want %v", seed, document, got, want)
			}
		}
	}
}

// checkBoxes checks the times of all boxes.
func (h *harness) checkBoxes(when string, documents map[string][]string) {
	h.t.Helper()
	for document := range documents {
		b := h.readBox(document)
		var first time.Time // when the first retention ends
		isUnpublished := false
		for _, rec := range b.Records {
			switch end := rec.SentAt.Add(24 * time.Hour); {
			case rec.SentAt.IsZero():
				isUnpublished = true
			case first.IsZero() || end.Before(first):
				first = end
			}
		}
		isDue := !b.Due.IsZero()
		switch {
		case isUnpublished && !isDue:
			h.t.Fatalf("%s: got %+v, want a box that is due", when, b)
		case !first.IsZero() && !isDue && (b.Trim.IsZero() || b.Trim.After(first)):
			h.t.Fatalf("%s: got %+v, want a box that is due or has the trim time %s", when, b, first)
		case len(b.Records) == 0 && (isDue || !b.Trim.IsZero()):
			h.t.Fatalf("%s: got %+v, want an empty box without times", when, b)
		case isDue && !b.Trim.IsZero() && !isUnpublished:
			h.t.Fatalf("%s: got %+v, want one of the times at most", when, b)
		}
	}
}
