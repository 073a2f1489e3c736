package event

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/contract/eventapi"
)

// maxEntries limits the entries that an event has and that are not known to be in the
// capacity log. A write that finds this many logs all of them first. Normally a write
// removes the entries of the previous one. More of them accumulate if many processes write
// the same event, or if processes crash.
const maxEntries = 4 * maxBatch

// Cause is why the counters of an event changed.
type Cause string

// The causes of changes.
const (
	CauseCreated         Cause = eventapi.CauseCreated
	CauseCapacityChanged Cause = eventapi.CauseCapacityChanged
	CauseReserved        Cause = eventapi.CauseReserved
	CauseSold            Cause = eventapi.CauseSold
	CauseReleased        Cause = eventapi.CauseReleased
	CauseExpired         Cause = eventapi.CauseExpired
	CauseCancelled       Cause = eventapi.CauseCancelled
)

// isReleaseCause reports whether a release may have the cause. The empty cause means
// CauseReleased.
func isReleaseCause(c Cause) bool {
	switch c {
	case "", CauseReleased, CauseExpired, CauseCancelled:
		return true
	case CauseCreated, CauseCapacityChanged, CauseReserved, CauseSold:
	}
	return false
}

// Change is a change of an event's counters. Sums of changes are counters.
type Change struct{ Available, Held, Sold int64 }

// Plus returns the sum of two changes.
func (c Change) Plus(d Change) Change {
	return Change{Available: c.Available + d.Available, Held: c.Held + d.Held, Sold: c.Sold + d.Sold}
}

// minus returns the change that turns the counters d into the counters c.
func (c Change) minus(d Change) Change {
	return Change{Available: c.Available - d.Available, Held: c.Held - d.Held, Sold: c.Sold - d.Sold}
}

// counters returns the counters as the change from an event without seats.
func (s Seats) counters() Change {
	return Change{Available: s.Available, Held: s.Held, Sold: s.Sold}
}

// Entry is an entry of the capacity log: one change of the counters of an event. Version and
// Number identify it within the event, and order the entries of an event.
type Entry struct {
	Version int64 // the seats.version that the write of the change made
	Number  int   // distinguishes the entries of one write; less than 10,000
	At      time.Time
	Cause   Cause
	Change  Change
	HoldID  string // the hold whose seats moved; empty if the capacity changed
	TraceID string // of the request that made the change; may be empty
}

// ID returns the id of the entry, which is unique within its event.
func (e Entry) ID() string { return strconv.FormatInt(e.Version, 10) + "-" + strconv.Itoa(e.Number) }

// Opening is the sum of the entries of an event that were folded. Its zero value means that
// none were.
type Opening struct {
	Through int64     // the seats.version up to which the entries were folded
	At      time.Time // when the latest of them was made
	Sum     Change
}

// EntryPosition is a position between two entries of a log: immediately before the entry
// with this version and number, in ascending order.
type EntryPosition struct {
	Version int64 `json:"v"`
	Number  int   `json:"n"`
}

// addCapacityEntry adds an entry to the event if the counters of before differ. The write
// that stores e must raise the seats.version of before by one.
func (e *Event) addCapacityEntry(ctx context.Context, cause Cause, before Seats, at time.Time) {
	change := e.Seats.counters().minus(before.counters())
	if change == (Change{}) {
		return
	}
	e.Seats.Entries = append(slices.Clip(e.Seats.Entries), Entry{
		Version: before.Version + 1, At: at, Cause: cause, Change: change, TraceID: traceID(ctx),
	})
}

// traceID returns the id of the trace of ctx, or "" if ctx has no trace.
func traceID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}

// logEntries adds entries of an event to the capacity log. It is idempotent.
func (s *Service) logEntries(ctx context.Context, eventID string, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := s.log.InsertEntries(ctx, eventID, entries); err != nil {
		return fmt.Errorf("log %d entries of event %s: %w", len(entries), eventID, err)
	}
	s.logged.add(eventID, entries)
	return nil
}

// tryLogEntries adds entries that a write has just stored to the capacity log. It ignores
// failures, because the entries stay in the event: a later move, a reader of the log or the
// sweep logs them, and reports a failure if that fails too.
func (s *Service) tryLogEntries(ctx context.Context, eventID string, entries []Entry) {
	var ignored error
	defer recoverTo(&ignored, "log entries of event "+eventID)
	ignored = s.logEntries(ctx, eventID, entries)
}

// logAll adds all entries that e has to the capacity log, so that the log is complete up to
// the seats.version of e.
func (s *Service) logAll(ctx context.Context, e Event) error {
	return s.logEntries(ctx, e.ID, s.logged.missing(e))
}

// boundEntries adds all entries that e has to the capacity log if there are too many.
func (s *Service) boundEntries(ctx context.Context, e Event) error {
	if missing := s.logged.missing(e); len(missing) >= maxEntries {
		return s.logEntries(ctx, e.ID, missing)
	}
	return nil
}
