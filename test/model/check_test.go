package model_test

import (
	"fmt"
	"maps"
	"slices"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/contract/bookingapi"
)

// history is what the checks remember of a schedule so far. Maps without another
// comment are keyed by booking id.
type history struct {
	bookings []string                      // ids of bookings that were ever visible, in order of appearance
	owner    map[string]string             // user ids
	replies  map[string]bookingapi.Booking // the first successful reply to a create
	// refused is the latest starting step of the creates that were definitely refused. A
	// create that started earlier must not succeed after the refusal. expired is the same
	// for confirms that were refused because the booking had expired.
	refused, expired map[string]int
	records          map[string]bookingtest.Booking // booking records at the last check
	event            eventtest.Event                // at the last check
	beforeLimit      map[string]bool                // holds that counted when the limit last changed
	broken           error                          // the first contradiction between replies
	lastActor        *actor                         // the actor that took the last step, or nil
	writes           int64                          // writes to both stores until the last check
	checkedReplies   int                            // len(replies) at the last check
}

func (h *history) init() {
	h.owner = map[string]string{}
	h.replies = map[string]bookingapi.Booking{}
	h.refused, h.expired = map[string]int{}, map[string]int{}
	h.records = map[string]bookingtest.Booking{}
	h.beforeLimit = map[string]bool{}
}

// recordReply records a successful reply to a create. All replies about one booking
// must be equal.
func (h *history) recordReply(id string, b bookingapi.Booking) {
	first, ok := h.replies[id]
	if !ok {
		h.replies[id] = b
		return
	}
	if first != b && h.broken == nil {
		h.broken = fmt.Errorf("I4: booking %s: got replies %+v and %+v, want equal ones", id, first, b)
	}
}

// countedHolds returns the holds that the event's counters include. A mark overrides
// its hold, because the hold is about to take the mark's state. The marks of a deleted
// event are ignored, because nothing reads them any more.
func countedHolds(e eventtest.Event, holds map[string]eventtest.Hold) map[string]eventtest.Hold {
	all := maps.Clone(holds)
	if e.Status != "deleted" {
		maps.Copy(all, e.Seats.Marks)
	}
	maps.DeleteFunc(all, func(_ string, h eventtest.Hold) bool { return h.State == "released" })
	return all
}

// check checks the invariants that must hold after every step, and returns the first
// violation. It skips the checks if neither a store nor the replies have changed since
// the last call.
func (w *world) check() error {
	if w.seen.broken != nil {
		return w.seen.broken
	}
	writes := w.eventStore.Writes() + w.bookingStore.Writes()
	if writes == w.seen.writes && len(w.seen.replies) == w.seen.checkedReplies {
		return nil
	}
	w.seen.writes, w.seen.checkedReplies = writes, len(w.seen.replies)
	c := w.eventStore.Contents()
	e := c.Events[eventID]
	counted := countedHolds(e, c.Holds)
	if err := checkSeats(e, counted); err != nil {
		return err
	}
	// The log of a deleted event is deleted too.
	if sum, s := c.LogSum(eventID), e.Seats; e.Status != "deleted" && (sum.Available != s.Available || sum.Held != s.Held || sum.Sold != s.Sold) {
		return fmt.Errorf("I2: the log entries add up to %+v, but the counters are %+v", sum, s)
	}
	records := w.bookingStore.Contents()
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if err := w.checkBooking(records[id], counted); err != nil {
			return err
		}
	}
	for id := range w.seen.replies {
		if b, ok := records[id]; !ok || b.State == "refused" {
			return fmt.Errorf("I3: booking %s was reported to a client, but does not exist", id)
		}
	}
	if err := w.checkLimits(e, counted, c); err != nil {
		return err
	}
	w.seen.event, w.seen.records = e, records
	return nil
}

// checkSeats checks that the event's counters add up and match its holds.
func checkSeats(e eventtest.Event, counted map[string]eventtest.Hold) error {
	s := e.Seats
	if s.Held < 0 || s.Sold < 0 || s.Available < 0 || s.Held+s.Sold > s.Capacity || s.Available+s.Held+s.Sold != s.Capacity {
		return fmt.Errorf("I1: the counters do not add up: %+v", s)
	}
	held, sold := int64(0), int64(0)
	for _, h := range counted {
		if h.State == "held" {
			held += h.Quantity
		} else {
			sold += h.Quantity
		}
	}
	if held != s.Held || sold != s.Sold {
		return fmt.Errorf("I2: the event counts %d held and %d sold seats, but its holds add up to %d and %d", s.Held, s.Sold, held, sold)
	}
	if s.Live != int64(len(counted)) {
		return fmt.Errorf("I2: the event counts %d live holds, but has %d", s.Live, len(counted))
	}
	return nil
}

// checkBooking checks a booking against its hold, against the replies to clients,
// and against its own earlier state.
func (w *world) checkBooking(b bookingtest.Booking, counted map[string]eventtest.Hold) error {
	was, existed := w.seen.records[b.ID]
	if b.IsLive() {
		h, ok := counted[b.HoldID]
		if !ok || h.Quantity != b.Quantity || h.UserID != b.UserID {
			return fmt.Errorf("I2: booking %s is %s without its hold %s (%+v)", b.ID, b.State, b.HoldID, h)
		}
	}
	if b.State == "refused" {
		return nil
	}
	if !existed || was.State == "refused" {
		w.seen.bookings = append(w.seen.bookings, b.ID)
		w.seen.owner[b.ID] = b.UserID
		if a := w.seen.lastActor; a != nil && w.seen.refused[b.ID] > a.started {
			return fmt.Errorf("I3: booking %s was created by a%d, which started at step %d, although the create that started at step %d was refused",
				b.ID, a.id, a.started, w.seen.refused[b.ID])
		}
	}
	if a := w.seen.lastActor; existed && was.State == "expired" && b.State == "confirmed" && a != nil && w.seen.expired[b.ID] > a.started {
		return fmt.Errorf("I3: booking %s was confirmed by a%d, which started at step %d, although the confirm that started at step %d was refused because the booking had expired",
			b.ID, a.id, a.started, w.seen.expired[b.ID])
	}
	if existed && (was.State == "cancelled" && b.State != "cancelled" || b.HoldNumber < was.HoldNumber || b.Revision < was.Revision) {
		return fmt.Errorf("booking %s went back from %s (hold number %d, revision %d) to %s (hold number %d, revision %d)",
			b.ID, was.State, was.HoldNumber, was.Revision, b.State, b.HoldNumber, b.Revision)
	}
	return nil
}

// checkLimits checks that no user has more seats than the limit allows, and that the
// limit documents match the holds. A limit does not cover holds that were made before
// its last change.
func (w *world) checkLimits(e eventtest.Event, counted map[string]eventtest.Hold, c eventtest.Contents) error {
	limitOf := func(e eventtest.Event) int64 {
		if e.MaxPerUser == nil {
			return 0
		}
		return *e.MaxPerUser
	}
	if limitOf(e) != limitOf(w.seen.event) {
		w.seen.beforeLimit = map[string]bool{}
		for id := range counted {
			w.seen.beforeLimit[id] = true
		}
	}
	limited := map[string]int64{} // seats that the limit covers, by user
	for id, h := range counted {
		if !w.seen.beforeLimit[id] {
			limited[h.UserID] += h.Quantity
		}
		entry := int64(0)
		for key, l := range c.Limits {
			if key.UserID == h.UserID {
				entry = l.By[id]
			}
		}
		if h.Limited && entry != h.Quantity {
			return fmt.Errorf("I8: the limit entry of hold %s counts %d seats, want %d", id, entry, h.Quantity)
		}
	}
	for user, n := range limited {
		if limit := limitOf(e); limit > 0 && n > limit {
			return fmt.Errorf("I8: %s has %d seats, more than the limit of %d", user, n, limit)
		}
	}
	for key, l := range c.Limits {
		sum := int64(0)
		for _, n := range l.By {
			sum += n
		}
		if sum != l.Used {
			return fmt.Errorf("I8: limit %s counts %d seats as used, but its entries add up to %d", key, l.Used, sum)
		}
	}
	return nil
}

// checkAtRest checks what must hold after a recovery, and returns the first violation.
func (w *world) checkAtRest() error {
	c := w.eventStore.Contents()
	e := c.Events[eventID]
	records := w.bookingStore.Contents()
	held, sold := int64(0), int64(0)
	holds := map[string]bool{} // of live bookings
	for id, b := range records {
		if !b.ConfirmedAt.IsZero() && !e.Seats.EverSold && e.Status != "deleted" {
			return fmt.Errorf("booking %s was confirmed, but the event counts as one that never sold a ticket", id)
		}
		if b.Owes != (bookingtest.Obligations{}) || !b.DischargeAt.IsZero() {
			return fmt.Errorf("booking %s still owes %v", id, b.Owes.List())
		}
		switch b.State {
		case "pending":
			held += b.Quantity
			if !w.now.Before(b.ExpiresAt) {
				return fmt.Errorf("I6: booking %s is pending past its expiry", id)
			}
		case "confirmed":
			sold += b.Quantity
		default:
			continue
		}
		holds[b.HoldID] = true
		if e.Status == "cancelled" {
			return fmt.Errorf("booking %s of a cancelled event is %s", id, b.State)
		}
	}
	if e.Seats.Held != held || e.Seats.Sold != sold {
		return fmt.Errorf("I2 at rest: the event counts %d held and %d sold seats, but its bookings add up to %d and %d", e.Seats.Held, e.Seats.Sold, held, sold)
	}
	for id, h := range c.Holds {
		if h.State != "released" && !holds[id] {
			return fmt.Errorf("I6: hold %s is %s, but has no live booking", id, h.State)
		}
		if mark, ok := e.Seats.Marks[id]; ok && mark.State != h.State {
			return fmt.Errorf("hold %s is %s, but its mark says %s", id, h.State, mark.State)
		}
	}
	for id := range e.Seats.Marks {
		if _, ok := c.Holds[id]; !ok {
			return fmt.Errorf("mark %s has no hold", id)
		}
	}
	for key, l := range c.Limits {
		for id := range l.By {
			if h := c.Holds[id]; h.State != "held" && h.State != "sold" {
				return fmt.Errorf("I8: limit %s has an entry for hold %s, which is %q", key, id, h.State)
			}
		}
	}
	if n := len(w.bookingStore.Unsent()) + len(w.eventStore.Unsent()); n > 0 {
		return fmt.Errorf("I7: %d facts are not published", n)
	}
	return nil
}
