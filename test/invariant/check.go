package invariant

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"boxoffice/shared/contract/eventapi"
)

// Violation is one broken invariant.
type Violation struct {
	Invariant string // I1 to I8
	Detail    string
}

// String returns the invariant and the detail, for failure messages.
func (v Violation) String() string { return v.Invariant + ": " + v.Detail }

// report collects violations.
type report []Violation

func (r *report) add(invariant, format string, args ...any) {
	*r = append(*r, Violation{invariant, fmt.Sprintf(format, args...)})
}

// Check returns every violation of an invariant in s and l, ordered by invariant. l must
// contain all requests about the events of s. If l is nil, Check ignores replies.
func Check(s State, l *Ledger) []Violation {
	var r report
	for _, id := range slices.Sorted(maps.Keys(s.Events)) {
		s.checkSeats(&r, s.Events[id])
	}
	s.checkHolds(&r)
	s.checkExpiry(&r)
	s.checkLimits(&r)
	s.checkOutboxes(&r)
	s.checkFacts(&r)
	s.checkList(&r)
	if l != nil {
		attempts, changes := l.entries()
		s.checkAttempts(&r, attempts)
		s.checkChanges(&r, changes)
	}
	slices.SortStableFunc(r, func(a, b Violation) int { return cmp.Compare(a.Invariant, b.Invariant) })
	return r
}

// checkSeats compares the counters of an event with its holds, its bookings, and
// the availability that the gateway reports.
func (s State) checkSeats(r *report, e Event) {
	n := e.Seats
	if n.Available < 0 || n.Held < 0 || n.Sold < 0 || n.Held+n.Sold > n.Capacity {
		r.add("I1", "event %s: capacity %d, available %d, held %d, sold %d", e.ID, n.Capacity, n.Available, n.Held, n.Sold)
	}
	if n.Available+n.Held+n.Sold != n.Capacity {
		r.add("I2", "event %s: capacity %d is not available %d + held %d + sold %d", e.ID, n.Capacity, n.Available, n.Held, n.Sold)
	}
	byHolds, byBookings := map[string]int64{}, map[string]int64{}
	counted := s.counted(e)
	for _, h := range counted {
		byHolds[h.State] += h.Quantity
	}
	if n.Live != int64(len(counted)) {
		r.add("I2", "event %s counts %d live holds, but has %d", e.ID, n.Live, len(counted))
	}
	for _, b := range s.Bookings {
		if b.EventID == e.ID {
			byBookings[b.State] += b.Quantity
		}
	}
	if byHolds[held] != n.Held || byHolds[sold] != n.Sold {
		r.add("I2", "event %s counts %d held and %d sold seats, but its holds add up to %d and %d", e.ID, n.Held, n.Sold, byHolds[held], byHolds[sold])
	}
	if byBookings[pending] != n.Held || byBookings[confirmed] != n.Sold {
		r.add("I2", "event %s counts %d held and %d sold seats, but its bookings add up to %d and %d", e.ID, n.Held, n.Sold, byBookings[pending], byBookings[confirmed])
	}
	if sum := s.logged(e); e.Status != "deleted" && (sum.Available != n.Available || sum.Held != n.Held || sum.Sold != n.Sold) {
		r.add("I2", "event %s: available %d, held %d, sold %d, but its log entries add up to %d, %d and %d",
			e.ID, n.Available, n.Held, n.Sold, sum.Available, sum.Held, sum.Sold)
	}
	if s.Seats == nil {
		return
	}
	if a := s.Seats[e.ID]; a.Capacity != n.Capacity || a.Available != n.Available || a.Held != n.Held || a.Sold != n.Sold {
		r.add("I2", "event %s: the gateway reports %+v, but the store has %+v", e.ID, a, n)
	}
}

// logged returns the sum of an event's log entries, wherever they are.
func (s State) logged(e Event) Entry {
	sum := e.Opening
	known := map[[2]int64]bool{}
	for _, entry := range slices.Concat(s.Log, slices.Collect(maps.Values(e.Seats.Entries))) {
		id := [2]int64{entry.Version, int64(entry.Number)}
		isOther := entry.EventID != "" && entry.EventID != e.ID // entries in an event have no event id
		if isOther || known[id] || entry.Version <= e.Opening.Through {
			continue
		}
		known[id] = true
		sum.Available += entry.Available
		sum.Held += entry.Held
		sum.Sold += entry.Sold
	}
	return sum
}

// counted returns the holds that an event's counters include. A mark overrides its
// hold, because the hold is about to take the mark's state.
func (s State) counted(e Event) map[string]Hold {
	all := map[string]Hold{}
	for id, h := range s.Holds {
		if h.EventID == e.ID {
			all[id] = h
		}
	}
	maps.Copy(all, e.Seats.Marks)
	maps.DeleteFunc(all, func(_ string, h Hold) bool { return h.State == released })
	return all
}

// checkHolds checks that every counted hold belongs to a live booking, and that
// every live booking has exactly one hold that matches it.
func (s State) checkHolds(r *report) {
	counted := map[string]Hold{}
	for _, e := range s.Events {
		maps.Copy(counted, s.counted(e))
	}
	byBooking := map[string][]string{} // ids of counted holds
	for _, id := range slices.Sorted(maps.Keys(counted)) {
		h := counted[id]
		bookingID, _, _ := strings.Cut(id, "_")
		byBooking[bookingID] = append(byBooking[bookingID], id)
		b, ok := s.Bookings[bookingID]
		if !ok || !b.isLive() || b.HoldID != id {
			r.add("I6", "hold %s of %d seats is %s, but its booking is %q with hold %q", id, h.Quantity, h.State, b.State, b.HoldID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if n := len(byBooking[id]); n > 1 {
			r.add("I4", "booking %s has %d holds: %v", id, n, byBooking[id])
		}
		if !b.isLive() {
			continue
		}
		want := held
		if b.State == confirmed {
			want = sold
		}
		h, ok := counted[b.HoldID]
		if !ok || h.State != want || h.Quantity != b.Quantity || h.UserID != b.UserID || h.EventID != b.EventID {
			r.add("I2", "booking %s of %d seats is %s, but its hold is %+v", id, b.Quantity, b.State, h)
		}
	}
}

// checkExpiry checks that no booking is pending past its expiry.
func (s State) checkExpiry(r *report) {
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if b.State == pending && (b.ExpiresAt == nil || s.At.After(*b.ExpiresAt)) {
			r.add("I6", "booking %s is pending at %s, but expired at %v", id, s.At.UTC(), b.ExpiresAt)
		}
	}
}

// checkLimits checks that the limit documents match the holds, and that no user has
// more seats of an event than its limit allows.
func (s State) checkLimits(r *report) {
	entries := map[string]int64{} // seats by hold
	for _, l := range s.Limits {
		sum := int64(0)
		for _, id := range slices.Sorted(maps.Keys(l.By)) {
			sum += l.By[id]
			entries[id] = l.By[id]
			if h, ok := s.Holds[id]; !ok || h.State == released {
				r.add("I8", "limit %s counts %d seats of hold %s, which is %q", l.ID, l.By[id], id, h.State)
			}
		}
		if sum != l.Used {
			r.add("I8", "limit %s counts %d seats as used, but its entries add up to %d", l.ID, l.Used, sum)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Holds)) {
		if h := s.Holds[id]; h.State != released && h.Limited && entries[id] != h.Quantity {
			r.add("I8", "the limit entry of hold %s counts %d seats, want %d", id, entries[id], h.Quantity)
		}
	}
	type buyer struct{ userID, eventID string }
	seats := map[buyer]int64{}
	for _, b := range s.Bookings {
		if b.isLive() {
			seats[buyer{b.UserID, b.EventID}] += b.Quantity
		}
	}
	for by, n := range seats {
		if limit := s.Events[by.eventID].MaxPerUser; limit != nil && n > *limit {
			r.add("I8", "user %s has %d seats of event %s, more than the limit of %d", by.userID, n, by.eventID, *limit)
		}
	}
}

// outboxes returns all outboxes by the id of their document.
func (s State) outboxes() map[string][]Record {
	all := map[string][]Record{}
	for id, e := range s.Events {
		all[id] = e.Outbox
	}
	for id, b := range s.Bookings {
		all[id] = b.Outbox
	}
	return all
}

// checkOutboxes checks that every fact was published.
func (s State) checkOutboxes(r *report) {
	outboxes := s.outboxes()
	for _, id := range slices.Sorted(maps.Keys(outboxes)) {
		for _, rec := range outboxes[id] {
			if rec.SentAt == nil {
				r.add("I7", "%s %s of %s was not published", rec.Type, rec.ID, id)
			}
		}
	}
}

// checkFacts compares the streams with the outboxes, which keep their published
// facts for a day. The event app's sweep repeats the fact that an event was cancelled, and
// replaces it in the outbox, so the stream may contain such facts that no outbox has.
func (s State) checkFacts(r *report) {
	if s.Facts == nil {
		return
	}
	times := map[string]int{} // by the fact's id
	for _, f := range s.Facts {
		times[f.ID]++
	}
	outboxes := s.outboxes()
	for _, id := range slices.Sorted(maps.Keys(outboxes)) {
		for _, rec := range outboxes[id] {
			if n := times[rec.ID]; n != 1 {
				r.add("I5", "%s %s of %s is in the stream %d times, want once", rec.Type, rec.ID, id, n)
			}
			delete(times, rec.ID)
		}
	}
	for _, f := range s.Facts {
		if _, unknown := times[f.ID]; unknown && f.Type != eventapi.FactCancelled {
			r.add("I5", "%s %s of %s is in the stream, but in no outbox", f.Type, f.ID, f.Subject)
		}
	}
}

// checkList compares the bookings that the gateway lists with the store.
func (s State) checkList(r *report) {
	if s.Listed == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if listed, ok := s.Listed[id]; !ok || listed.Status != b.State || listed.Quantity != b.Quantity || listed.UserID != b.UserID {
			r.add("I3", "booking %s is %s in the store, but %q in the list", id, b.State, listed.Status)
		}
	}
	for id := range s.Listed {
		if _, ok := s.Bookings[id]; !ok {
			r.add("I3", "booking %s is in the list, but not in the store", id)
		}
	}
}
