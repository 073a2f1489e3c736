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
)

// Subject is an empty store under test.
type Subject struct {
	outbox.Store
	// Add makes a document with one record by the store's own write, or adds one to
	// it. The records' ids, in the order of writing, are the caller's to choose.
	Add func(t *testing.T, document, recordID string, at time.Time)
}

// Conform holds a store against what the port promises. open returns an empty one
// for each part.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"boxes are saved by version", testSave},
		{"due boxes are found", testDue},
		{"racing claims: one wins", testClaims},
		{"boxes that are saved together", testSavedTogether},
		{"what is added while a relay works is not lost", testAdded},
		{"a rewind only goes on", testRewind},
		{"racing relays send again, once", testResend},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func is(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func boxOf(t *testing.T, s Subject, document string) outbox.Box {
	t.Helper()
	b, err := s.Box(t.Context(), document)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func idsOf(b outbox.Box) []string {
	var ids []string
	for _, r := range b.Records {
		ids = append(ids, r.ID)
	}
	return ids
}

func testSave(t *testing.T, s Subject) {
	ctx := t.Context()
	_, err := s.Box(ctx, "nothing")
	is(t, "no document", err, outbox.ErrNoBox)
	is(t, "save no document", s.SaveBox(ctx, outbox.Box{Document: "nothing"}, day0), outbox.ErrStale)
	s.Add(t, "d", "1", day0)
	s.Add(t, "d", "2", day0.Add(time.Second))
	was := boxOf(t, s, "d")
	if got, want := idsOf(was), []string{"1", "2"}; !slices.Equal(got, want) || !was.Records[1].SentAt.IsZero() {
		t.Fatalf("got %v, want %v", was, want)
	}
	next := was
	next.Records = slices.Clone(was.Records[1:])
	next.Records[0].SentAt = day0.Add(time.Minute)
	is(t, "save", s.SaveBox(ctx, next, day0.Add(time.Hour)), nil)
	is(t, "save again", s.SaveBox(ctx, was, day0), outbox.ErrStale)
	got := boxOf(t, s, "d")
	next.Due = day0.Add(time.Hour)
	if next.Version++; !reflect.DeepEqual(got, next) {
		t.Errorf("got %+v\nwant %+v", got, next)
	}
	next.Records = nil
	is(t, "empty it", s.SaveBox(ctx, next, time.Time{}), nil)
	if got := boxOf(t, s, "d"); len(got.Records) != 0 {
		t.Errorf("got %v, want no records", got)
	}
	s.Add(t, "d", "3", day0)
	if got := idsOf(boxOf(t, s, "d")); !slices.Equal(got, []string{"3"}) {
		t.Errorf("after it was empty: got %v", got)
	}
}

// A save that comes with others is told what became of its own box.
func testSavedTogether(t *testing.T, s Subject) {
	const boxes = 40
	var was [boxes]outbox.Box
	for i := range was {
		id := fmt.Sprintf("d%02d", i)
		s.Add(t, id, "1", day0)
		was[i] = boxOf(t, s, id)
		if i%20 == 19 {
			s.Add(t, id, "2", day0)
		}
	}
	var errs [boxes]error
	var wg sync.WaitGroup
	for i, b := range was {
		wg.Go(func() {
			b.Records = nil
			errs[i] = s.SaveBox(t.Context(), b, time.Time{})
		})
	}
	wg.Wait()
	for i, b := range was {
		got, changed := boxOf(t, s, b.Document), i%20 == 19
		switch {
		case changed && (!errors.Is(errs[i], outbox.ErrStale) || len(got.Records) != 2):
			t.Errorf("%s, which changed: %v, %+v", b.Document, errs[i], got)
		case !changed && (errs[i] != nil || len(got.Records) != 0 || got.Version != b.Version+1):
			t.Errorf("%s: %v, %+v", b.Document, errs[i], got)
		}
	}
}

func testDue(t *testing.T, s Subject) {
	ctx := t.Context()
	s.Add(t, "b", "1", day0.Add(time.Minute))
	s.Add(t, "a", "2", day0.Add(2*time.Minute))
	s.Add(t, "c", "3", day0)
	expect := func(to time.Duration, limit int, want ...string) {
		t.Helper()
		got, err := s.DueBoxes(ctx, time.Time{}, day0.Add(to), limit)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("due before %s: got %v, %v, want %v", to, got, err, want)
		}
	}
	expect(0, 10)
	expect(time.Millisecond, 10, "c")
	expect(time.Hour, 10, "c", "b", "a")
	expect(time.Hour, 2, "c", "b")
	if got, err := s.DueBoxes(ctx, day0.Add(time.Minute), day0.Add(2*time.Minute), 10); err != nil || !slices.Equal(got, []string{"b"}) {
		t.Errorf("due in between: got %v, %v", got, err)
	}
	is(t, "save", s.SaveBox(ctx, boxOf(t, s, "c"), day0.Add(time.Hour)), nil)
	is(t, "never", s.SaveBox(ctx, boxOf(t, s, "b"), time.Time{}), nil)
	expect(2*time.Hour, 10, "a", "c")
	s.Add(t, "b", "4", day0)
	expect(2*time.Hour, 10, "b", "a", "c")
}

func testClaims(t *testing.T, s Subject) {
	s.Add(t, "d", "1", day0)
	b := boxOf(t, s, "d")
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch err := s.ClaimBox(t.Context(), b, day0.Add(time.Hour)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, outbox.ErrStale):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d claims won", won.Load())
	}
	want := b
	want.Version, want.Due = b.Version+1, day0.Add(time.Hour)
	if got := boxOf(t, s, "d"); !reflect.DeepEqual(got, want) {
		t.Errorf("claimed: got %+v\nwant %+v", got, want)
	}
	is(t, "claim no document", s.ClaimBox(t.Context(), outbox.Box{Document: "nothing"}, day0), outbox.ErrStale)
}

func testAdded(t *testing.T, s Subject) {
	s.Add(t, "d", "1", day0)
	b := boxOf(t, s, "d")
	s.Add(t, "d", "2", day0)
	b.Records = nil
	is(t, "save over a new record", s.SaveBox(t.Context(), b, time.Time{}), outbox.ErrStale)
	if got := idsOf(boxOf(t, s, "d")); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %v", got)
	}
}

func testRewind(t *testing.T, s Subject) {
	since := func(want time.Time) {
		t.Helper()
		if got, err := s.Since(t.Context()); err != nil || !got.Equal(want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	since(time.Time{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() { is(t, "rewind", s.Rewind(t.Context(), day0.Add(time.Duration(i)*time.Hour)), nil) })
	}
	wg.Wait()
	since(day0.Add(15 * time.Hour))
	is(t, "rewind to before", s.Rewind(t.Context(), day0), nil)
	since(day0.Add(15 * time.Hour))
}

// topic counts what is published.
type topic struct {
	mu    sync.Mutex
	times map[string]int
}

func (p *topic) Publish(_ context.Context, r outbox.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times[r.ID]++
	return nil
}

// testResend has relays work on more boxes than one finds at once, while records
// are added to them.
func testResend(t *testing.T, s Subject) {
	const boxes, relays = 120, 4
	bus := &topic{times: map[string]int{}}
	now := day0.Add(time.Minute)
	sweep := func() {
		var wg sync.WaitGroup
		for range relays {
			r := outbox.New(outbox.Config{Store: s, Publisher: bus, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
			wg.Go(func() { is(t, "sweep", r.Sweep(t.Context()), nil) })
		}
		wg.Wait()
	}
	add := func(kind string, at time.Time) {
		for i := range boxes {
			s.Add(t, fmt.Sprint("d", i), fmt.Sprint(kind, i), at)
		}
	}
	times := func(what, kind string, want int) {
		t.Helper()
		for i := range boxes {
			if n := bus.times[fmt.Sprint(kind, i)]; n != want {
				t.Errorf("%s: %s%d was published %d times, want %d", what, kind, i, n, want)
			}
		}
	}
	add("old", day0)
	sweep()
	times("at first", "old", 1)
	now = day0.Add(time.Hour)
	made := now
	relay := outbox.New(outbox.Config{Store: s, Publisher: bus, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	is(t, "rewind", relay.Rewind(t.Context(), made), nil)
	now = made.Add(time.Hour)
	var adding sync.WaitGroup
	adding.Go(func() { add("new", made.Add(2*time.Hour)) }) // too new for these sweeps
	sweep()
	adding.Wait()
	sweep()
	times("again", "old", 2)
	now = made.Add(3 * time.Hour)
	sweep()
	times("in the end", "old", 2)
	times("in the end", "new", 1)
	for i := range boxes {
		for _, r := range boxOf(t, s, fmt.Sprint("d", i)).Records {
			if r.SentAt.Before(made) {
				t.Errorf("%s was sent at %s", r.ID, r.SentAt)
			}
		}
	}
}
