package invariant

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Violation is something that must not be.
type Violation struct {
	Invariant string // I1 to I8
	What      string
}

func (v Violation) String() string { return v.Invariant + ": " + v.What }

// report collects violations.
type report []Violation

func (r *report) add(invariant, format string, args ...any) {
	*r = append(*r, Violation{invariant, fmt.Sprintf(format, args...)})
}

// Check returns every violation that the state and the ledger show, by name. The
// ledger must have all that was asked about the state's events; it may be nil.
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

// checkSeats holds an event's counters against its holds and its bookings.
func (s State) checkSeats(r *report, e Event) {
	n := e.Seats
	if n.Available < 0 || n.Held < 0 || n.Sold < 0 || n.Held+n.Sold > n.Capacity {
		r.add("I1", "event %s: capacity %d, available %d, held %d, sold %d", e.ID, n.Capacity, n.Available, n.Held, n.Sold)
	}
	if n.Available+n.Held+n.Sold != n.Capacity {
		r.add("I2", "event %s: capacity %d is not available %d + held %d + sold %d", e.ID, n.Capacity, n.Available, n.Held, n.Sold)
	}
	byHolds, byBookings := map[string]int64{}, map[string]int64{}
	for _, h := range s.counted(e) {
		byHolds[h.State] += h.Quantity
	}
	for _, b := range s.Bookings {
		if b.EventID == e.ID {
			byBookings[b.State] += b.Quantity
		}
	}
	if byHolds[held] != n.Held || byHolds[sold] != n.Sold {
		r.add("I2", "event %s: held %d, sold %d, its holds make %d, %d", e.ID, n.Held, n.Sold, byHolds[held], byHolds[sold])
	}
	if byBookings[pending] != n.Held || byBookings[confirmed] != n.Sold {
		r.add("I2", "event %s: held %d, sold %d, its bookings make %d, %d", e.ID, n.Held, n.Sold, byBookings[pending], byBookings[confirmed])
	}
	if s.Seats == nil {
		return
	}
	if a := s.Seats[e.ID]; a.Capacity != n.Capacity || a.Available != n.Available || a.Held != n.Held || a.Sold != n.Sold {
		r.add("I2", "event %s: the edge says %+v, the store %+v", e.ID, a, n)
	}
}

// counted are the holds that an event counts: a mark is what its hold is about to
// become.
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

// checkHolds holds bookings against holds, both ways.
func (s State) checkHolds(r *report) {
	counted := map[string]Hold{}
	for _, e := range s.Events {
		maps.Copy(counted, s.counted(e))
	}
	of := map[string][]string{} // counted holds, by booking
	for _, id := range slices.Sorted(maps.Keys(counted)) {
		h := counted[id]
		bookingID, _, _ := strings.Cut(id, "_")
		of[bookingID] = append(of[bookingID], id)
		b, ok := s.Bookings[bookingID]
		if !ok || !b.live() || b.HoldID != id {
			r.add("I6", "hold %s of %d seats is %s, its booking %q", id, h.Quantity, h.State, b.State)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if n := len(of[id]); n > 1 {
			r.add("I4", "booking %s has %d holds: %v", id, n, of[id])
		}
		if !b.live() {
			continue
		}
		want := held
		if b.State == confirmed {
			want = sold
		}
		h, ok := counted[b.HoldID]
		if !ok || h.State != want || h.Quantity != b.Quantity || h.UserID != b.UserID || h.EventID != b.EventID {
			r.add("I2", "booking %s of %d seats is %s, its hold %+v", id, b.Quantity, b.State, h)
		}
	}
}

func (s State) checkExpiry(r *report) {
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if b.State == pending && (b.ExpiresAt == nil || s.At.After(*b.ExpiresAt)) {
			r.add("I6", "booking %s is pending at %s and expired at %v", id, s.At.UTC(), b.ExpiresAt)
		}
	}
}

func (s State) checkLimits(r *report) {
	entries := map[string]int64{} // by hold
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
			r.add("I8", "limit %s: used %d, its entries make %d", l.ID, l.Used, sum)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Holds)) {
		if h := s.Holds[id]; h.State != released && h.Limited && entries[id] != h.Quantity {
			r.add("I8", "hold %s of %d seats counts %d in its limit", id, h.Quantity, entries[id])
		}
	}
	type user struct{ id, eventID string }
	has := map[user]int64{}
	for _, b := range s.Bookings {
		if b.live() {
			has[user{b.UserID, b.EventID}] += b.Quantity
		}
	}
	for who, n := range has {
		if most := s.Events[who.eventID].MaxPerUser; most != nil && n > *most {
			r.add("I8", "user %s has %d seats of event %s, which allows %d", who.id, n, who.eventID, *most)
		}
	}
}

// records are those of all outboxes, by the id of the document.
func (s State) records() map[string][]Record {
	all := map[string][]Record{}
	for id, e := range s.Events {
		all[id] = e.Outbox
	}
	for id, b := range s.Bookings {
		all[id] = b.Outbox
	}
	return all
}

func (s State) checkOutboxes(r *report) {
	records := s.records()
	for _, id := range slices.Sorted(maps.Keys(records)) {
		for _, rec := range records[id] {
			if rec.SentAt == nil {
				r.add("I7", "%s %s of %s was not published", rec.Type, rec.ID, id)
			}
		}
	}
}

// checkFacts holds the stream against the outboxes, which keep what they sent for
// a day.
func (s State) checkFacts(r *report) {
	if s.Facts == nil {
		return
	}
	times := map[string]int{}
	for _, f := range s.Facts {
		times[f.ID]++
	}
	records := s.records()
	for _, id := range slices.Sorted(maps.Keys(records)) {
		for _, rec := range records[id] {
			if n := times[rec.ID]; n != 1 {
				r.add("I5", "%s %s of %s is in the stream %d times", rec.Type, rec.ID, id, n)
			}
			delete(times, rec.ID)
		}
	}
	for _, f := range s.Facts {
		if _, unknown := times[f.ID]; unknown {
			r.add("I5", "%s %s of %s is in the stream and in no outbox", f.Type, f.ID, f.Subject)
		}
	}
}

// checkList holds what an admin sees against the store.
func (s State) checkList(r *report) {
	if s.Listed == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.Bookings)) {
		b := s.Bookings[id]
		if seen, ok := s.Listed[id]; !ok || seen.Status != b.State || seen.Quantity != b.Quantity || seen.UserID != b.UserID {
			r.add("I3", "booking %s is %s in the store, and %q in the list", id, b.State, seen.Status)
		}
	}
	for id := range s.Listed {
		if _, ok := s.Bookings[id]; !ok {
			r.add("I3", "booking %s is in the list, and not in the store", id)
		}
	}
}
