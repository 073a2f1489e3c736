package outboxtest

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

	"boxoffice/shared/outbox"
	"boxoffice/test/kit"
)

// Subject is an empty store under test.
type Subject struct {
	outbox.Store
	// Add adds one record to the box of a document, in the same way as the writes of
	// the store under test, and creates the document if necessary.
	Add func(t *testing.T, document, recordID string, at time.Time)
}

// Conform checks that a store implements the contract of outbox.Store. open returns an
// empty store; each test calls it once.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"save compares the version", testSave},
		{"due boxes are found in order", testDueBoxes},
		{"retained boxes are found in order", testRetainedBoxes},
		{"one of many racing claims wins", testRacingClaims},
		{"concurrent saves each get their own result", testConcurrentSaves},
		{"a stale save keeps added records", testStaleSave},
		{"the watermark only rises", testWatermark},
		{"racing relays publish lost records again exactly once", testRacingRelays},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func wantError(t *testing.T, operation string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", operation, got, want)
	}
}

func readBox(t *testing.T, s Subject, document string) outbox.Box {
	t.Helper()
	b, err := s.Box(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantRecords(t *testing.T, s Subject, document string, want ...string) {
	t.Helper()
	if got := recordIDs(readBox(t, s, document)); !slices.Equal(got, want) {
		t.Errorf("records of %s: got %v, want %v", document, got, want)
	}
}

func recordIDs(b outbox.Box) []string {
	var ids []string
	for _, r := range b.Records {
		ids = append(ids, r.ID)
	}
	return ids
}

func testSave(t *testing.T, s Subject) {
	ctx := t.Context()
	_, err := s.Box(ctx, "missing")
	wantError(t, "read a missing document", err, outbox.ErrNoBox)
	wantError(t, "save a missing document", s.SaveBox(ctx, outbox.Box{Document: "missing"}), outbox.ErrStale)
	s.Add(t, "d", "1", day0)
	s.Add(t, "d", "2", day0.Add(time.Second))
	old := readBox(t, s, "d")
	if got, want := recordIDs(old), []string{"1", "2"}; !slices.Equal(got, want) || !old.Records[1].SentAt.IsZero() {
		t.Fatalf("got %v, want the unpublished records %v", old, want)
	}
	next := old
	next.Records = slices.Clone(old.Records[1:])
	next.Records[0].SentAt = day0.Add(time.Minute)
	next.Due, next.Trim = day0.Add(time.Hour), day0.Add(2*time.Hour)
	wantError(t, "save", s.SaveBox(ctx, next), nil)
	wantError(t, "save an old version", s.SaveBox(ctx, old), outbox.ErrStale)
	got := readBox(t, s, "d")
	if next.Version++; !reflect.DeepEqual(got, next) {
		t.Errorf("saved box:\n got %+v\nwant %+v", got, next)
	}
	next.Records, next.Due, next.Trim = nil, time.Time{}, time.Time{}
	wantError(t, "save without records", s.SaveBox(ctx, next), nil)
	next.Version++
	if got := readBox(t, s, "d"); !reflect.DeepEqual(got, next) {
		t.Errorf("saved box without records:\n got %+v\nwant %+v", got, next)
	}
	s.Add(t, "d", "3", day0)
	wantRecords(t, s, "d", "3")
}

// testConcurrentSaves saves many boxes at the same time, some of which are stale. A
// store may combine the saves, but each must get its own result.
func testConcurrentSaves(t *testing.T, s Subject) {
	const boxes = 40
	isStale := func(i int) bool { return i%20 == 19 }
	var read [boxes]outbox.Box
	for i := range read {
		id := fmt.Sprintf("d%02d", i)
		s.Add(t, id, "1", day0)
		read[i] = readBox(t, s, id)
		if isStale(i) {
			s.Add(t, id, "2", day0)
		}
	}
	var errs [boxes]error
	kit.Concurrently(len(read), func(i int) {
		b := read[i]
		b.Records, b.Due = nil, time.Time{}
		errs[i] = s.SaveBox(t.Context(), b)
	})
	for i, b := range read {
		got := readBox(t, s, b.Document)
		switch {
		case isStale(i) && (!errors.Is(errs[i], outbox.ErrStale) || len(got.Records) != 2):
			t.Errorf("stale save of %s: got %v and %+v, want %v and two records", b.Document, errs[i], got, outbox.ErrStale)
		case !isStale(i) && (errs[i] != nil || len(got.Records) != 0 || got.Version != b.Version+1):
			t.Errorf("save of %s: got %v and %+v, want no records and version %d", b.Document, errs[i], got, b.Version+1)
		}
	}
}

// wantBoxes checks the documents of the boxes that a query of the store returned, and that
// each box is complete.
func wantBoxes(t *testing.T, s Subject, what string, got []outbox.Box, err error, want ...string) {
	t.Helper()
	var documents []string
	for _, b := range got {
		documents = append(documents, b.Document)
		if stored := readBox(t, s, b.Document); !reflect.DeepEqual(b, stored) {
			t.Errorf("%s:\n got %+v\nwant %+v", what, b, stored)
		}
	}
	if err != nil || !slices.Equal(documents, want) {
		t.Errorf("%s: got %v, %v, want %v", what, documents, err, want)
	}
}

func testDueBoxes(t *testing.T, s Subject) {
	ctx := t.Context()
	s.Add(t, "b", "1", day0.Add(time.Minute))
	s.Add(t, "a", "2", day0.Add(2*time.Minute))
	s.Add(t, "c", "3", day0)
	wantDue := func(before time.Time, limit int, want ...string) {
		t.Helper()
		got, err := s.DueBoxes(ctx, before, limit)
		wantBoxes(t, s, fmt.Sprintf("boxes due before %s", before), got, err, want...)
	}
	save := func(document string, due time.Time) {
		t.Helper()
		b := readBox(t, s, document)
		b.Due, b.Trim = due, day0
		wantError(t, "save "+document, s.SaveBox(ctx, b), nil)
	}
	wantDue(day0, 10)
	wantDue(day0.Add(time.Millisecond), 10, "c")
	wantDue(day0.Add(time.Hour), 10, "c", "b", "a")
	wantDue(day0.Add(time.Hour), 2, "c", "b")
	save("c", day0.Add(time.Hour))
	save("b", time.Time{})
	wantDue(day0.Add(2*time.Hour), 10, "a", "c")
	s.Add(t, "b", "4", day0)
	wantDue(day0.Add(2*time.Hour), 10, "b", "a", "c")
}

func testRetainedBoxes(t *testing.T, s Subject) {
	ctx := t.Context()
	wantRetained := func(when string, before time.Time, limit int, want ...string) {
		t.Helper()
		got, err := s.RetainedBoxes(ctx, before, limit)
		wantBoxes(t, s, when, got, err, want...)
	}
	save := func(document string, trim time.Time) {
		t.Helper()
		b := readBox(t, s, document)
		b.Due, b.Trim = time.Time{}, trim
		wantError(t, "save "+document, s.SaveBox(ctx, b), nil)
	}
	later := day0.Add(time.Hour)
	for i, document := range []string{"b", "a", "c"} {
		s.Add(t, document, fmt.Sprint(i), day0)
	}
	wantRetained("after the inserts", later, 10)
	save("b", day0.Add(time.Minute))
	save("a", day0.Add(2*time.Minute))
	save("c", day0)
	wantRetained("at the earliest time", day0, 10)
	wantRetained("after the earliest time", day0.Add(time.Millisecond), 10, "c")
	wantRetained("after the saves", later, 10, "c", "b", "a")
	wantRetained("with a limit", later, 2, "c", "b")
	s.Add(t, "b", "4", later)
	wantRetained("after a new record", later, 10, "c", "b", "a")
	if got := readBox(t, s, "b"); !got.Due.Equal(later) {
		t.Errorf("due time after a new record: got %s, want %s", got.Due, later)
	}
	wantError(t, "claim", s.ClaimBox(ctx, readBox(t, s, "c"), later), nil)
	wantRetained("after a claim", later, 10, "b", "a")
	save("a", time.Time{})
	wantRetained("after a save without a trim time", later, 10, "b")
}

func testRacingClaims(t *testing.T, s Subject) {
	s.Add(t, "d", "1", day0)
	b := readBox(t, s, "d")
	b.Trim = day0
	wantError(t, "save", s.SaveBox(t.Context(), b), nil)
	b.Version++
	var wins atomic.Int64
	kit.Concurrently(16, func(int) {
		switch err := s.ClaimBox(t.Context(), b, day0.Add(time.Hour)); {
		case err == nil:
			wins.Add(1)
		case !errors.Is(err, outbox.ErrStale):
			t.Error(err)
		}
	})
	if got := wins.Load(); got != 1 {
		t.Errorf("successful claims: got %d, want 1", got)
	}
	want := b
	want.Version, want.Due, want.Trim = b.Version+1, day0.Add(time.Hour), time.Time{}
	if got := readBox(t, s, "d"); !reflect.DeepEqual(got, want) {
		t.Errorf("claimed box:\n got %+v\nwant %+v", got, want)
	}
	wantError(t, "claim a missing document", s.ClaimBox(t.Context(), outbox.Box{Document: "missing"}, day0), outbox.ErrStale)
}

func testStaleSave(t *testing.T, s Subject) {
	s.Add(t, "d", "1", day0)
	b := readBox(t, s, "d")
	s.Add(t, "d", "2", day0)
	b.Records = nil
	wantError(t, "save after a record was added", s.SaveBox(t.Context(), b), outbox.ErrStale)
	wantRecords(t, s, "d", "1", "2")
}

func testWatermark(t *testing.T, s Subject) {
	wantWatermark := func(want time.Time) {
		t.Helper()
		if got, err := s.Watermark(t.Context()); err != nil || !got.Equal(want) {
			t.Errorf("watermark: got %s, %v, want %s", got, err, want)
		}
	}
	wantWatermark(time.Time{})
	kit.Concurrently(16, func(i int) {
		wantError(t, "raise the watermark", s.RaiseWatermark(t.Context(), day0.Add(time.Duration(i)*time.Hour)), nil)
	})
	wantWatermark(day0.Add(15 * time.Hour))
	wantError(t, "raise the watermark to an earlier time", s.RaiseWatermark(t.Context(), day0), nil)
	wantWatermark(day0.Add(15 * time.Hour))
}

// publishCounter is a bus that counts how often each record is published.
type publishCounter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (p *publishCounter) Publish(_ context.Context, r outbox.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[r.ID]++
	return nil
}

// testRacingRelays lets several relays sweep more boxes than fit on one page, while
// records are added to them.
func testRacingRelays(t *testing.T, s Subject) {
	const boxes, relays = 120, 4
	bus := &publishCounter{counts: map[string]int{}}
	now := day0.Add(time.Minute)
	newRelay := func() *outbox.Relay {
		return outbox.New(outbox.Config{Store: s, Publisher: bus, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	}
	sweep := func() {
		kit.Concurrently(relays, func(int) { wantError(t, "sweep", newRelay().Sweep(t.Context()), nil) })
	}
	add := func(prefix string, at time.Time) {
		for i := range boxes {
			s.Add(t, fmt.Sprint("d", i), fmt.Sprint(prefix, i), at)
		}
	}
	wantPublished := func(when, prefix string, want int) {
		t.Helper()
		for i := range boxes {
			id := fmt.Sprint(prefix, i)
			if got := bus.counts[id]; got != want {
				t.Errorf("%s: %s was published %d times, want %d", when, id, got, want)
			}
		}
	}
	add("old", day0)
	sweep()
	wantPublished("after the first sweeps", "old", 1)
	now = day0.Add(time.Hour)
	recreated := now
	wantError(t, "rewind", newRelay().Rewind(t.Context(), recreated), nil)
	now = recreated.Add(time.Hour)
	var adding sync.WaitGroup
	adding.Go(func() { add("new", recreated.Add(2*time.Hour)) }) // not yet due in the next sweeps
	sweep()
	adding.Wait()
	sweep()
	wantPublished("after the rewind", "old", 2)
	now = recreated.Add(3 * time.Hour)
	sweep()
	wantPublished("after the last sweeps", "old", 2)
	wantPublished("after the last sweeps", "new", 1)
	for i := range boxes {
		for _, r := range readBox(t, s, fmt.Sprint("d", i)).Records {
			if r.SentAt.Before(recreated) {
				t.Errorf("%s: got sent at %s, want at %s or later", r.ID, r.SentAt, recreated)
			}
		}
	}
}
