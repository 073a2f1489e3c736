package model_test

import (
	"fmt"
	"maps"
	"slices"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/contract/bookingapi"
)

// history is what happened so far, as far as the checks need it.
type history struct {
	names   []string
	known   []string          // bookings that clients know of or could
	owner   map[string]string // of those
	answers map[string]bookingapi.Booking
	// When the latest create began that was refused for good, and the latest
	// confirm: none that began before may succeed any more.
	refused, expired map[string]int
	records          map[string]bookingtest.Booking
	event            eventtest.Event
	before           map[string]bool // holds that were counted when the limit was set
	broken           error
	actor            *proc // who did the last step
	writes           int64 // of the stores, at the last check
	checked          int   // answers at the last check
}

func (h *history) init() {
	h.owner = map[string]string{}
	h.answers = map[string]bookingapi.Booking{}
	h.refused, h.expired = map[string]int{}, map[string]int{}
	h.records = map[string]bookingtest.Booking{}
	h.before = map[string]bool{}
}

// answered notes a 201. All of one booking are the same.
func (h *history) answered(id string, b bookingapi.Booking) {
	first, ok := h.answers[id]
	if !ok {
		h.answers[id] = b
		return
	}
	if first != b && h.broken == nil {
		h.broken = fmt.Errorf("I4: booking %s was answered as %+v and as %+v", id, first, b)
	}
}

// counted returns the holds as the event counts them: a mark is what its hold is
// about to become. Nobody reads the marks of a deleted event.
func counted(e eventtest.Event, holds map[string]eventtest.Hold) map[string]eventtest.Hold {
	all := maps.Clone(holds)
	if e.Status != "deleted" {
		maps.Copy(all, e.Seats.Marks)
	}
	maps.DeleteFunc(all, func(_ string, h eventtest.Hold) bool { return h.State == "released" })
	return all
}

// check is what must hold at every instant.
func (w *world) check() error {
	if w.seen.broken != nil {
		return w.seen.broken
	}
	writes := w.eventStore.Writes() + w.bookingStore.Writes()
	if writes == w.seen.writes && len(w.seen.answers) == w.seen.checked {
		return nil
	}
	w.seen.writes, w.seen.checked = writes, len(w.seen.answers)
	c := w.eventStore.Contents()
	e := c.Events[eventID]
	s := e.Seats
	if s.Held < 0 || s.Sold < 0 || s.Available < 0 || s.Held+s.Sold > s.Capacity || s.Available+s.Held+s.Sold != s.Capacity {
		return fmt.Errorf("I1: %+v", s)
	}
	live := counted(e, c.Holds)
	held, sold := int64(0), int64(0)
	for _, h := range live {
		if h.State == "held" {
			held += h.Quantity
		} else {
			sold += h.Quantity
		}
	}
	if held != s.Held || sold != s.Sold {
		return fmt.Errorf("I2: the holds make held %d, sold %d, the event has %d, %d", held, sold, s.Held, s.Sold)
	}
	records := w.bookingStore.Contents()
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if err := w.checkBooking(records[id], live); err != nil {
			return err
		}
	}
	for id := range w.seen.answers {
		if b, ok := records[id]; !ok || b.State == "refused" {
			return fmt.Errorf("I3: booking %s was answered and is gone", id)
		}
	}
	if err := w.checkLimits(e, live, c); err != nil {
		return err
	}
	w.seen.event, w.seen.records = e, records
	return nil
}

func (w *world) checkBooking(b bookingtest.Booking, live map[string]eventtest.Hold) error {
	was, known := w.seen.records[b.ID]
	if b.IsLive() {
		h, ok := live[b.HoldID]
		if !ok || h.Quantity != b.Quantity || h.UserID != b.UserID {
			return fmt.Errorf("I2: booking %s is %s without its hold %s (%+v)", b.ID, b.State, b.HoldID, h)
		}
	}
	if b.State == "refused" {
		return nil
	}
	if !known || was.State == "refused" {
		w.seen.known = append(w.seen.known, b.ID)
		w.seen.owner[b.ID] = b.UserID
		if p := w.seen.actor; p != nil && w.seen.refused[b.ID] > p.started {
			return fmt.Errorf("I3: booking %s appears by p%d, which began at %d, and one that began at %d was refused", b.ID, p.id, p.started, w.seen.refused[b.ID])
		}
	}
	if p := w.seen.actor; known && was.State == "expired" && b.State == "confirmed" && p != nil && w.seen.expired[b.ID] > p.started {
		return fmt.Errorf("I3: booking %s is confirmed by p%d after it was said to be expired", b.ID, p.id)
	}
	if known && (was.State == "cancelled" && b.State != "cancelled" || b.HoldNumber < was.HoldNumber || b.Revision < was.Revision) {
		return fmt.Errorf("booking %s went from %s %d to %s %d", b.ID, was.State, was.HoldNumber, b.State, b.HoldNumber)
	}
	return nil
}

func (w *world) checkLimits(e eventtest.Event, live map[string]eventtest.Hold, c eventtest.Contents) error {
	limit := func(e eventtest.Event) int64 {
		if e.MaxPerUser == nil {
			return 0
		}
		return *e.MaxPerUser
	}
	if limit(e) != limit(w.seen.event) {
		w.seen.before = map[string]bool{}
		for id := range live {
			w.seen.before[id] = true
		}
	}
	since := map[string]int64{}
	for id, h := range live {
		if !w.seen.before[id] {
			since[h.UserID] += h.Quantity
		}
		entry := int64(0)
		for key, l := range c.Limits {
			if key.UserID == h.UserID {
				entry = l.By[id]
			}
		}
		if h.Limited && entry != h.Quantity {
			return fmt.Errorf("I8: hold %s of %d seats counts %d in its limit", id, h.Quantity, entry)
		}
	}
	for user, n := range since {
		if most := limit(e); most > 0 && n > most {
			return fmt.Errorf("I8: %s has %d of at most %d", user, n, most)
		}
	}
	for key, l := range c.Limits {
		sum := int64(0)
		for _, n := range l.By {
			sum += n
		}
		if sum != l.Used {
			return fmt.Errorf("I8: limit %s: used %d, entries %d", key, l.Used, sum)
		}
	}
	return nil
}

// checkAtRest is what must hold when nothing is under way and recovery is over.
func (w *world) checkAtRest() error {
	c := w.eventStore.Contents()
	e := c.Events[eventID]
	records := w.bookingStore.Contents()
	held, sold := int64(0), int64(0)
	holds := map[string]bool{}
	for id, b := range records {
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
		return fmt.Errorf("I2 at rest: held %d, sold %d, bookings make %d, %d", e.Seats.Held, e.Seats.Sold, held, sold)
	}
	for id, h := range c.Holds {
		if h.State != "released" && !holds[id] {
			return fmt.Errorf("I6: hold %s is %s and has no booking", id, h.State)
		}
		if mark, ok := e.Seats.Marks[id]; ok && mark.State != h.State {
			return fmt.Errorf("hold %s is %s, its mark says %s", id, h.State, mark.State)
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
				return fmt.Errorf("I8: limit %s has an entry of hold %s, which is %q", key, id, h.State)
			}
		}
	}
	if n := len(w.bookingStore.Unsent()) + len(w.eventStore.Unsent()); n > 0 {
		return fmt.Errorf("I7: %d facts are unsent", n)
	}
	return nil
}
