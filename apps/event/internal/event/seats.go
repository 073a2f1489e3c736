package event

import (
	"fmt"
	"maps"
	"slices"
)

// Seats are the seat counters of an event. Capacity is always the sum of Available,
// Held and Sold.
type Seats struct {
	Capacity  int64
	Available int64
	Held      int64
	Sold      int64
	// Live is the number of holds that are held or sold. It shows the progress of a
	// cancellation.
	Live int64
	// Version is raised by one with every write of the seats or the definition. Each of
	// these writes compares it first.
	Version int64
	// EverSold reports whether a booking of the event was ever confirmed.
	EverSold bool
	// Marks are the holds of recent moves in their new states, by id. The documents of
	// these holds may lag behind.
	Marks map[string]Hold
	// Entries are the recent entries of the capacity log, in ascending order. The log itself
	// may not have them yet.
	Entries []Entry
}

// Committed returns the number of seats that are held or sold.
func (s Seats) Committed() int64 { return s.Held + s.Sold }

// Resized returns the seats with another capacity. It returns ErrCapacityCommitted if
// more seats than that are committed.
func (s Seats) Resized(capacity int64) (Seats, error) {
	if capacity < s.Committed() {
		return s, ErrCapacityCommitted
	}
	s.Capacity, s.Available = capacity, capacity-s.Committed()
	return s, nil
}

// Move is the transition of one hold to another state.
type Move struct {
	From HoldState // empty if there was no hold
	To   Hold      // the hold in its new state

	Cause   Cause  // of a release; the new state is the cause of the other moves
	TraceID string // of the request that moves the seats; may be empty
	// WasConfirmed reports whether a confirmed booking used the hold that is released. The
	// hold need not have been sold: the release may overtake the sale.
	WasConfirmed bool
}

// cause returns the cause of the log entry of the move.
func (m Move) cause() Cause {
	switch {
	case m.To.State == Held:
		return CauseReserved
	case m.To.State == Sold:
		return CauseSold
	case m.Cause == "":
		return CauseReleased
	}
	return m.Cause
}

// SeatsWrite is one compare-and-set of an event's seats. It carries the moves of any
// number of holds.
type SeatsWrite struct {
	EventID string
	// Version is the seats.version that was read. If it differs from the stored one, the
	// write is stale. Otherwise the write raises it by one.
	Version int64

	// The counters after the write.
	Available, Held, Sold, Live int64
	EverSold                    bool

	Set     map[string]Hold // the marks to set, by hold
	Cleared []string        // the marks to remove, none of which is in Set

	// Entries are the log entries that the event has after the write, in ascending order:
	// those that it had, except dropped ones, and one for each move that changed a counter.
	Entries []Entry
}

// NewWrite returns a compare-and-set of the seats that carries no moves.
func (s Seats) NewWrite(eventID string) SeatsWrite {
	return SeatsWrite{
		EventID: eventID, Version: s.Version,
		Available: s.Available, Held: s.Held, Sold: s.Sold, Live: s.Live, EverSold: s.EverSold,
		Set: map[string]Hold{}, Entries: slices.Clip(s.Entries),
	}
}

// newVersion returns the seats.version that the write makes.
func (w SeatsWrite) newVersion() int64 { return w.Version + 1 }

// change returns the difference between the counters of next and those of w.
func (w SeatsWrite) change(next SeatsWrite) Change {
	return Change{Available: next.Available - w.Available, Held: next.Held - w.Held, Sold: next.Sold - w.Sold}
}

// NewEntries returns the entries that the write adds to the event.
func (w SeatsWrite) NewEntries() []Entry {
	first := slices.IndexFunc(w.Entries, func(e Entry) bool { return e.Version == w.newVersion() })
	if first < 0 {
		return nil
	}
	return w.Entries[first:]
}

// Drop makes the write remove the entries for which isLogged returns true. These entries
// must be in the capacity log. Entries that the write adds stay.
func (w *SeatsWrite) Drop(isLogged func(Entry) bool) {
	w.Entries = slices.DeleteFunc(slices.Clone(w.Entries), func(e Entry) bool {
		return e.Version != w.newVersion() && isLogged(e)
	})
}

// Add adds a move to the write: it counts the seats, sets the mark, and adds the log entry
// if a counter changes. It returns an error and adds nothing if the counters contradict the
// move.
func (w *SeatsWrite) Add(m Move) error {
	contradiction := func(err error) error {
		return fmt.Errorf("move hold %s of event %s: %w", m.To.ID, w.EventID, err)
	}
	if m.To.State.order() <= m.From.order() {
		return contradiction(fmt.Errorf("from %q to %q", m.From, m.To.State))
	}
	q, next := m.To.Quantity, *w
	switch m.From {
	case Held:
		next.Held -= q
	case Sold:
		next.Sold -= q
	case Released, "":
		// Nothing was counted for the hold. A tombstone counts nothing either.
		if m.To.State != Released {
			next.Available -= q
			next.Live++
		}
	}
	switch m.To.State {
	case Held:
		next.Held += q
	case Sold:
		next.Sold += q
		next.EverSold = true
	case Released:
		next.EverSold = next.EverSold || m.WasConfirmed
		if m.From != "" {
			next.Available += q
			next.Live = max(0, next.Live-1) // nothing depends on Live but a display
		}
	}
	if q <= 0 || next.Available < 0 || next.Held < 0 || next.Sold < 0 {
		return contradiction(fmt.Errorf("%d seats leave available %d, held %d, sold %d", q, next.Available, next.Held, next.Sold))
	}
	if change := w.change(next); change != (Change{}) {
		next.Entries = append(slices.Clip(next.Entries), Entry{
			Version: w.newVersion(), Number: len(w.Set), At: m.To.MovedAt,
			Cause: m.cause(), Change: change, HoldID: m.To.ID, TraceID: m.TraceID,
		})
	}
	*w = next
	w.Set[m.To.ID] = m.To
	return nil
}

// Clear makes the write remove the marks of the given holds, except marks that the write
// sets. The steps of the marks must be finished. Clear must be called after all moves have
// been added.
func (w *SeatsWrite) Clear(holdIDs []string) {
	for _, id := range holdIDs {
		if _, isSet := w.Set[id]; !isSet {
			w.Cleared = append(w.Cleared, id)
		}
	}
}

// Apply returns the seats as the write leaves them. It is for stores that keep their data
// in memory.
func (w SeatsWrite) Apply(s Seats) Seats {
	s = w.counters(s)
	s.EverSold = w.EverSold
	s.Version = w.newVersion()
	s.Entries = w.Entries
	marks := maps.Clone(s.Marks)
	if marks == nil {
		marks = make(map[string]Hold, len(w.Set))
	}
	maps.Copy(marks, w.Set)
	for _, id := range w.Cleared {
		delete(marks, id)
	}
	s.Marks = marks
	return s
}

// counters returns s with the counters of the write.
func (w SeatsWrite) counters(s Seats) Seats {
	s.Available, s.Held, s.Sold, s.Live = w.Available, w.Held, w.Sold, w.Live
	return s
}
