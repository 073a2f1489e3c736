package event

import (
	"fmt"
	"maps"
	"time"

	"boxoffice/shared/contract"
)

// HoldState is how far a hold has come. It only ever goes on in the order of the
// constants.
type HoldState string

// The states of a hold.
const (
	Held     HoldState = "held"     // counted as held
	Sold     HoldState = "sold"     // counted as sold
	Released HoldState = "released" // not counted, for ever
)

// ParseHoldState returns the state of that name.
func ParseHoldState(s string) (HoldState, error) {
	switch h := HoldState(s); h {
	case Held, Sold, Released:
		return h, nil
	}
	return "", fmt.Errorf("unknown state %q of a hold", s)
}

// order makes "behind" and "beyond" of states; no hold at all is behind each.
func (s HoldState) order() int {
	switch s {
	case Held:
		return 1
	case Sold:
		return 2
	case Released:
		return 3
	}
	return 0
}

// Hold is what one booking took of an event's seats.
type Hold struct {
	ID       string
	EventID  string
	UserID   string
	Quantity int64
	// UnitPrice is what a ticket cost when the hold was taken. It is the zero
	// Money in a tombstone.
	UnitPrice contract.Money
	State     HoldState
	// Limited says that the hold has an entry in the user's limit.
	Limited bool
	// ExpiresAt is when the booking was to lapse; zero in a tombstone.
	ExpiresAt time.Time
	// MovedAt is when it came into its state.
	MovedAt time.Time
	// SettleAt is when to ask about it; zero when there is nothing to ask.
	SettleAt time.Time
}

// holdPurgeAfter is how long a released hold is kept at least: longer than any
// process is stopped that goes on afterwards.
const holdPurgeAfter = 24 * time.Hour

// PurgeAt is from when the store may drop the hold, and false while it may not.
func (h Hold) PurgeAt() (time.Time, bool) {
	return h.MovedAt.Add(holdPurgeAfter), h.State == Released
}

// Seats is how many seats an event has and where they are. Capacity is always
// the sum of Available, Held and Sold.
type Seats struct {
	Capacity  int64
	Available int64
	Held      int64
	Sold      int64
	// Version is raised by every write of the event that compares it.
	Version int64
	// EverSold says that a booking was confirmed once.
	EverSold bool
	// Marks are the holds as the last moves of their seats left them, by id. The
	// hold's own document may lag behind.
	Marks map[string]Hold
}

// Committed is how many seats are taken.
func (s Seats) Committed() int64 { return s.Held + s.Sold }

// Resized returns the seats with another capacity, or ErrCapacityCommitted when
// more are taken than that.
func (s Seats) Resized(capacity int64) (Seats, error) {
	if capacity < s.Committed() {
		return s, ErrCapacityCommitted
	}
	s.Capacity, s.Available = capacity, capacity-s.Committed()
	return s, nil
}

// Move is what one hold does to the seats: it was in state From (empty when there
// was none) and becomes To.
type Move struct {
	From HoldState
	To   Hold
}

// SeatsWrite is one compare-and-set of an event's seats. It may carry the moves
// of many holds.
type SeatsWrite struct {
	EventID string
	// Version is the one that was read: the write happens where it still is
	// seats.version, and raises it by one.
	Version int64

	// The counters afterwards.
	Available, Held, Sold int64
	EverSold              bool

	Set     map[string]Hold // marks to set, by hold
	Cleared []string        // marks to remove; none of them is in Set
}

// Write returns the compare-and-set that carries the moves and removes marks
// whose steps are finished. An error means that the counters contradict the
// holds, and nothing must be written.
func (s Seats) Write(eventID string, moves []Move, finished []string) (SeatsWrite, error) {
	w := s.write(eventID)
	for _, m := range moves {
		if err := w.add(m); err != nil {
			return w, err
		}
	}
	w.clear(finished)
	return w, nil
}

// write returns a compare-and-set that carries nothing yet.
func (s Seats) write(eventID string) SeatsWrite {
	return SeatsWrite{
		EventID: eventID, Version: s.Version,
		Available: s.Available, Held: s.Held, Sold: s.Sold, EverSold: s.EverSold,
		Set: map[string]Hold{},
	}
}

// clear removes marks, but not those that it sets.
func (w *SeatsWrite) clear(holdIDs []string) {
	for _, id := range holdIDs {
		if _, again := w.Set[id]; !again {
			w.Cleared = append(w.Cleared, id)
		}
	}
}

// add carries one more move. An error means that the counters contradict the
// hold, and nothing was added.
func (w *SeatsWrite) add(m Move) error {
	failed := func(err error) error {
		return fmt.Errorf("move hold %s of event %s: %w", m.To.ID, w.EventID, err)
	}
	if m.To.State.order() <= m.From.order() {
		return failed(fmt.Errorf("from %q to %q", m.From, m.To.State))
	}
	q, next := m.To.Quantity, *w
	switch m.From {
	case Held:
		next.Held -= q
	case Sold:
		next.Sold -= q
	case Released, "":
		// Nothing was counted. A tombstone comes from here and counts nothing
		// either.
		if m.To.State != Released {
			next.Available -= q
		}
	}
	switch m.To.State {
	case Held:
		next.Held += q
	case Sold:
		next.Sold += q
		next.EverSold = true
	case Released:
		if m.From != "" {
			next.Available += q
		}
	}
	if q <= 0 || next.Available < 0 || next.Held < 0 || next.Sold < 0 {
		return failed(fmt.Errorf("%d seats leave available %d, held %d, sold %d", q, next.Available, next.Held, next.Sold))
	}
	*w = next
	w.Set[m.To.ID] = m.To
	return nil
}

// Apply returns the seats as the write leaves them: what a store does with it.
func (w SeatsWrite) Apply(s Seats) Seats {
	s.Available, s.Held, s.Sold, s.EverSold = w.Available, w.Held, w.Sold, w.EverSold
	s.Version = w.Version + 1
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
