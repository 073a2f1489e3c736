package invariant

import (
	"maps"
	"slices"
)

// checkAttempts holds what clients were answered against what is there.
func (s State) checkAttempts(r *report, attempts []Attempt) {
	keyed := map[string][]Attempt{} // by the id that the key makes
	var single []Attempt
	for _, a := range attempts {
		if a.Key == "" {
			single = append(single, a)
			continue
		}
		id := keyedID(a.UserID, a.Key)
		keyed[id] = append(keyed[id], a)
	}
	for _, a := range attempts {
		if a.Status != 201 {
			continue
		}
		b, ok := s.Bookings[a.BookingID]
		if !ok || b.UserID != a.UserID || b.EventID != a.EventID || b.Quantity != a.Quantity {
			r.add("I3", "%d seats of event %s for user %s were answered 201 as booking %s, which is %+v", a.Quantity, a.EventID, a.UserID, a.BookingID, b)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(keyed)) {
		s.checkKey(r, id, keyed[id])
	}
	s.checkSingle(r, single, keyed)
}

// checkKey looks at all attempts under one key, of which the first 201 settles
// what the others are answered, and a definite refusal what is there.
func (s State) checkKey(r *report, id string, attempts []Attempt) {
	made := false
	for _, a := range attempts {
		switch {
		case a.Status == 201 && a.BookingID != id:
			r.add("I4", "key %s of user %s: booking %s, and %s was due", a.Key, a.UserID, a.BookingID, id)
		case made && definite(a.Status):
			r.add("I4", "key %s of user %s was answered 201 and then %d", a.Key, a.UserID, a.Status)
		}
		made = made || a.Status == 201
	}
	last := attempts[len(attempts)-1]
	if b, there := s.Bookings[id]; there && !made && definite(last.Status) {
		r.add("I3", "key %s of user %s was answered %d, and booking %s is %s", last.Key, last.UserID, last.Status, id, b.State)
	}
}

// checkSingle counts, since an attempt without a key whose outcome is unknown
// says no id: a user may have as many bookings more than he was told of as
// outcomes are unknown.
func (s State) checkSingle(r *report, single []Attempt, keyed map[string][]Attempt) {
	type of struct {
		userID, eventID string
		quantity        int64
	}
	told, unknown, untold := map[string]bool{}, map[of]int{}, map[of]int{}
	users := map[string]bool{}
	for _, a := range single {
		users[a.UserID] = true
		switch {
		case a.Status == 201 && told[a.BookingID]:
			r.add("I4", "booking %s was the answer to two requests without a key", a.BookingID)
		case a.Status == 201:
			told[a.BookingID] = true
		case !definite(a.Status):
			unknown[of{a.UserID, a.EventID, a.Quantity}]++
		}
	}
	for id := range keyed {
		users[keyed[id][0].UserID] = true
	}
	for id, b := range s.Bookings {
		if _, ok := keyed[id]; ok || told[id] || !users[b.UserID] {
			continue
		}
		untold[of{b.UserID, b.EventID, b.Quantity}]++
	}
	for what, n := range untold {
		if n > unknown[what] {
			r.add("I3", "user %s has %d bookings of %d seats of event %s that he was not told of, and %d outcomes are unknown", what.userID, n, what.quantity, what.eventID, unknown[what])
		}
	}
}

// checkChanges holds what was confirmed and cancelled against what is there.
func (s State) checkChanges(r *report, changes []Change) {
	confirms, cancels, ends := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		switch {
		case c.Cancel && c.Status == 200:
			ends[c.BookingID] = true
		case c.Cancel && !definite(c.Status):
			cancels[c.BookingID] = true // who knows
		case !c.Cancel && c.Status == 200:
			confirms[c.BookingID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ends)) {
		if b := s.Bookings[id]; b.State != cancelled {
			r.add("I3", "booking %s was cancelled and is %q", id, b.State)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(confirms)) {
		b := s.Bookings[id]
		if b.State != confirmed && !ends[id] && !cancels[id] {
			r.add("I3", "booking %s was confirmed and is %q", id, b.State)
		}
	}
}
