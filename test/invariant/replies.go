package invariant

import (
	"maps"
	"slices"
)

// checkAttempts compares the replies to attempts with the stored bookings.
func (s State) checkAttempts(r *report, attempts []Attempt) {
	keyed := map[string][]Attempt{} // by the booking id that the key determines
	var keyless []Attempt
	for _, a := range attempts {
		if a.Key == "" {
			keyless = append(keyless, a)
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
			r.add("I3", "user %s received 201 for %d seats of event %s with booking %s, which is stored as %+v", a.UserID, a.Quantity, a.EventID, a.BookingID, b)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(keyed)) {
		s.checkKey(r, id, keyed[id])
	}
	s.checkKeyless(r, keyless, keyed)
}

// checkKey checks the attempts under one key, in order. Every 201 must report the booking
// with that id, and no attempt after it may be refused. If no attempt received 201 and
// the last one was definitely refused, there must be no such booking.
func (s State) checkKey(r *report, id string, attempts []Attempt) {
	created := false
	for _, a := range attempts {
		switch {
		case a.Status == 201 && a.BookingID != id:
			r.add("I4", "key %s of user %s: got booking %s, want %s", a.Key, a.UserID, a.BookingID, id)
		case created && isDefinite(a.Status):
			r.add("I4", "key %s of user %s received 201 and then %d", a.Key, a.UserID, a.Status)
		}
		created = created || a.Status == 201
	}
	last := attempts[len(attempts)-1]
	if b, exists := s.Bookings[id]; exists && !created && isDefinite(last.Status) {
		r.add("I3", "key %s of user %s received %d, but booking %s is %s", last.Key, last.UserID, last.Status, id, b.State)
	}
}

// checkKeyless checks the attempts without a key. If the outcome of such an attempt
// is unknown, so is the id of the booking that it may have made. A user may
// therefore have as many unreported bookings as attempts with unknown outcomes.
func (s State) checkKeyless(r *report, keyless []Attempt, keyed map[string][]Attempt) {
	type request struct {
		userID, eventID string
		quantity        int64
	}
	reported, unknown, unreported := map[string]bool{}, map[request]int{}, map[request]int{}
	users := map[string]bool{}
	for _, a := range keyless {
		users[a.UserID] = true
		switch {
		case a.Status == 201 && reported[a.BookingID]:
			r.add("I4", "booking %s is the reply to two requests without a key", a.BookingID)
		case a.Status == 201:
			reported[a.BookingID] = true
		case !isDefinite(a.Status):
			unknown[request{a.UserID, a.EventID, a.Quantity}]++
		}
	}
	for id := range keyed {
		users[keyed[id][0].UserID] = true
	}
	for id, b := range s.Bookings {
		if _, ok := keyed[id]; ok || reported[id] || !users[b.UserID] {
			continue
		}
		unreported[request{b.UserID, b.EventID, b.Quantity}]++
	}
	for req, n := range unreported {
		if n > unknown[req] {
			r.add("I3", "user %s has %d bookings of %d seats of event %s that no reply reported, and only %d outcomes are unknown",
				req.userID, n, req.quantity, req.eventID, unknown[req])
		}
	}
}

// checkChanges compares the replies to confirms and cancels with the stored bookings.
func (s State) checkChanges(r *report, changes []Change) {
	// The keys are booking ids.
	isConfirmed, isCancelled, mayBeCancelled := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		switch {
		case c.Cancel && c.Status == 200:
			isCancelled[c.BookingID] = true
		case c.Cancel && !isDefinite(c.Status):
			mayBeCancelled[c.BookingID] = true
		case !c.Cancel && c.Status == 200:
			isConfirmed[c.BookingID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(isCancelled)) {
		if b := s.Bookings[id]; b.State != cancelled {
			r.add("I3", "booking %s: got state %q after a cancel was acknowledged, want %q", id, b.State, cancelled)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(isConfirmed)) {
		b := s.Bookings[id]
		if b.State != confirmed && !isCancelled[id] && !mayBeCancelled[id] {
			r.add("I3", "booking %s: got state %q after a confirm was acknowledged, want %q", id, b.State, confirmed)
		}
	}
}
