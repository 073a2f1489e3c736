package event

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

const (
	// reconcilePage limits the holds, or the bookings, that a comparison reads at once.
	reconcilePage = bookingapi.MaxReconcile
	// maxUnmatched limits the holds, and the bookings, that a comparison remembers because
	// it has not found their counterparts yet. Both are read in almost the same order, so
	// there are usually few.
	maxUnmatched = 10_000

	// requestBudget limits the time of one comparison for a request, and jobBudget that of
	// all comparisons of one cleanup. At 500 holds in about 10 ms, an event with more than
	// about 150,000 live bookings, or 500,000 for the cleanup, is compared in part only.
	requestBudget = 3 * time.Second
	jobBudget     = 12 * time.Second
	// recheckAfter is the time between the two comparisons for a request.
	recheckAfter = 2 * time.Second

	// eventPage limits the events that a cleanup finds at once.
	eventPage = 100
	// maxSuspects limits the events that wait for a second comparison, and maxRechecks the
	// number of them that one sweep compares.
	maxSuspects = 100
	maxRechecks = 10
)

// comparison is the result of comparing an event's counters with its holds, and its holds
// with its bookings.
type comparison struct {
	// counters is the drift between the counters and the holds. It is nil if there is none.
	counters *eventapi.Drift
	// suspects are the differences between holds and bookings, of which there may be more
	// than eventapi.MaxDrift. Some of them may be work in flight.
	suspects []eventapi.Drift
	// isStable reports whether no seats moved meanwhile. Otherwise the counters were not
	// compared.
	isStable bool
	// isWhole reports whether the comparison read all holds and bookings. Otherwise there
	// are no suspects.
	isWhole bool
}

// compare compares an event's counters, holds and bookings once. It stops when the budget is
// used up.
//
// A difference between the counters and the holds is certain. The holds are read after the
// event, and after the steps of its marks were finished. If seats.version is the same
// afterwards, the counters therefore must be the sums of the holds.
//
// A difference between a hold and its booking is only suspicious, because the two are read
// at different times. compare leaves out holds that moved within HoldSettleAfter.
func (s *Service) compare(ctx context.Context, eventID string, budget time.Duration) (comparison, error) {
	c, err := s.compareUncounted(ctx, eventID, budget)
	switch {
	case errors.Is(err, ErrNotFound): // nothing to compare
	case err != nil:
		s.drifts.CountComparison(ctx, ComparedNothing)
	case c.isWhole && c.isStable:
		s.drifts.CountComparison(ctx, ComparedAll)
	default:
		s.drifts.CountComparison(ctx, ComparedInPart)
	}
	return c, err
}

func (s *Service) compareUncounted(ctx context.Context, eventID string, budget time.Duration) (comparison, error) {
	start := s.now()
	before, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	if err != nil {
		return comparison{}, err
	}
	if _, err := s.finishMarks(ctx, before); err != nil {
		return comparison{}, err
	}
	j := join{holds: map[string]Hold{}, bookings: map[string]bookingapi.LiveBooking{}, settledBefore: start.Add(-s.settleAfter)}
	holds, bookings := s.holdPages(eventID), s.bookingPages(eventID)
	for !holds.isDone || !bookings.isDone {
		if s.now().Sub(start) > budget || len(j.holds) > maxUnmatched || len(j.bookings) > maxUnmatched {
			return comparison{}, nil
		}
		if err := errors.Join(holds.next(ctx, j.addHold), bookings.next(ctx, j.addBooking)); err != nil {
			return comparison{}, fmt.Errorf("compare event %s: %w", eventID, err)
		}
	}
	after, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	if err != nil {
		return comparison{}, err
	}
	c := comparison{suspects: j.suspects(), isWhole: true, isStable: after.Seats.Version == before.Seats.Version}
	if c.isStable {
		c.counters = before.countersDrift(j.sum)
	}
	return c, nil
}

// countersDrift returns the drift between the counters of the event and the seats of its
// holds, or nil if there is none.
func (e Event) countersDrift(holds Change) *eventapi.Drift {
	counted, correct := e.Seats.counters(), e.Seats.correctCounters(holds)
	if counted == correct {
		return nil
	}
	return &eventapi.Drift{
		Kind: eventapi.DriftCounters, Counters: (*eventapi.CapacityChange)(&counted), Holds: (*eventapi.CapacityChange)(&correct),
	}
}

// correctCounters returns the counters that the seats must have if their holds have the held
// and sold seats of sum.
func (s Seats) correctCounters(sum Change) Change {
	return Change{Available: s.Capacity - sum.Held - sum.Sold, Held: sum.Held, Sold: sum.Sold}
}

// pages reads a list page by page.
type pages[T any] struct {
	read   func(ctx context.Context, cursor string) (items []T, next string, err error)
	cursor string
	isDone bool
}

// next calls add for each item of the next page, if there is one.
func (p *pages[T]) next(ctx context.Context, add func(T)) error {
	if p.isDone {
		return nil
	}
	items, next, err := p.read(ctx, p.cursor)
	if err != nil {
		return err
	}
	for _, item := range items {
		add(item)
	}
	p.cursor, p.isDone = next, next == ""
	return nil
}

// holdPages returns the held and sold holds of an event.
func (s *Service) holdPages(eventID string) *pages[Hold] {
	return &pages[Hold]{read: func(ctx context.Context, cursor string) ([]Hold, string, error) {
		holds, err := s.holds.CountedHolds(ctx, eventID, cursor, reconcilePage)
		if err != nil {
			return nil, "", fmt.Errorf("read holds: %w", err)
		}
		if len(holds) < reconcilePage {
			return holds, "", nil
		}
		return holds, holds[len(holds)-1].ID, nil
	}}
}

// bookingPages returns the live bookings of an event.
func (s *Service) bookingPages(eventID string) *pages[bookingapi.LiveBooking] {
	return &pages[bookingapi.LiveBooking]{read: func(ctx context.Context, cursor string) ([]bookingapi.LiveBooking, string, error) {
		page, err := s.bookings.ReconcileBookings(ctx, bookingapi.ReconcileRequest{EventID: eventID, Limit: reconcilePage, Cursor: cursor})
		if err != nil {
			return nil, "", fmt.Errorf("read bookings: %w", err)
		}
		return page.Bookings, page.Next, nil
	}}
}

// join matches holds with bookings, in whatever order they arrive.
type join struct {
	sum           Change                            // of the held and sold seats
	live          int64                             // the number of holds
	holds         map[string]Hold                   // without a booking so far, by id
	bookings      map[string]bookingapi.LiveBooking // without a hold so far, by hold
	settledBefore time.Time                         // holds that moved later are not compared
	mismatches    []eventapi.Drift
}

// count adds the seats of a hold to the sum.
func (j *join) count(h Hold) {
	j.live++
	if h.State == Sold {
		j.sum.Sold += h.Quantity
	} else {
		j.sum.Held += h.Quantity
	}
}

func (j *join) addHold(h Hold) {
	j.count(h)
	b, ok := j.bookings[h.ID]
	if !ok {
		j.holds[h.ID] = h
		return
	}
	delete(j.bookings, h.ID)
	j.match(h, b)
}

func (j *join) addBooking(b bookingapi.LiveBooking) {
	h, ok := j.holds[b.HoldID]
	if !ok {
		j.bookings[b.HoldID] = b
		return
	}
	delete(j.holds, b.HoldID)
	j.match(h, b)
}

// match compares a hold with its booking.
func (j *join) match(h Hold, b bookingapi.LiveBooking) {
	switch {
	case h.MovedAt.After(j.settledBefore):
	case h.Quantity != b.Quantity:
		j.addMismatch(eventapi.DriftQuantity, b)
	case h.State == Held && b.Status == bookingapi.StatusConfirmed:
		j.addMismatch(eventapi.DriftNotSold, b)
	}
}

// addMismatch adds a difference, unless there are too many.
func (j *join) addMismatch(kind string, b bookingapi.LiveBooking) {
	if len(j.mismatches) < maxUnmatched {
		j.mismatches = append(j.mismatches, eventapi.Drift{Kind: kind, BookingID: b.BookingID, HoldID: b.HoldID})
	}
}

// suspects returns the differences between all holds and all bookings, ordered by hold.
func (j *join) suspects() []eventapi.Drift {
	found := j.mismatches
	for id, h := range j.holds {
		if h.MovedAt.After(j.settledBefore) {
			continue
		}
		d := eventapi.Drift{Kind: eventapi.DriftNotLive, HoldID: id}
		if bookingID, _, err := bookingapi.ParseHoldID(id); err == nil {
			d.BookingID = bookingID
		}
		found = append(found, d)
	}
	for id, b := range j.bookings {
		found = append(found, eventapi.Drift{Kind: eventapi.DriftNoHold, BookingID: b.BookingID, HoldID: id})
	}
	slices.SortFunc(found, func(a, b eventapi.Drift) int {
		return cmp.Or(strings.Compare(a.HoldID, b.HoldID), strings.Compare(a.Kind, b.Kind))
	})
	return found
}

// confirmed returns the drift that two comparisons of one event prove: the counters' drift of
// either one, and the suspects that both have.
func (c comparison) confirmed(earlier comparison) []eventapi.Drift {
	var drift []eventapi.Drift
	switch {
	case c.isStable && c.counters != nil:
		drift = append(drift, *c.counters)
	case !c.isStable && earlier.counters != nil:
		drift = append(drift, *earlier.counters)
	}
	known := map[eventapi.Drift]bool{}
	for _, d := range earlier.suspects {
		known[d] = true
	}
	for _, d := range c.suspects {
		if known[d] {
			drift = append(drift, d)
		}
	}
	return drift
}

// ReconcileEvent compares an event's counters with its holds, and its holds with the
// bookings; see eventapi.ReconcileEvent. It compares a second time before it reports a
// difference that may be work in flight.
func (s *Service) ReconcileEvent(ctx context.Context, req eventapi.ReconcileRequest) (eventapi.Reconciliation, error) {
	var p problems
	p.ID("eventId", req.EventID)
	if err := p.Err(); err != nil {
		return eventapi.Reconciliation{}, err
	}
	first, err := s.compare(ctx, req.EventID, requestBudget)
	last := first
	if err == nil && (!first.isStable || first.counters != nil || len(first.suspects) > 0) {
		if err = s.wait(ctx, recheckAfter); err == nil {
			last, err = s.compare(ctx, req.EventID, requestBudget)
		}
	}
	if err != nil {
		return eventapi.Reconciliation{}, err
	}
	drift := last.confirmed(first)
	r := s.newReconciliation(req.EventID, drift)
	r.Complete = last.isWhole && (last.isStable || first.isStable)
	if req.Mend {
		r.Mended, err = s.mend(ctx, req.EventID, r.Drift)
	}
	s.reportDrift(ctx, r)
	return r, err
}

// newReconciliation returns a complete reconciliation without mends.
func (s *Service) newReconciliation(eventID string, drift []eventapi.Drift) eventapi.Reconciliation {
	return eventapi.Reconciliation{
		EventID: eventID, CheckedAt: contract.At(s.now()), Complete: true,
		Drift: append([]eventapi.Drift{}, drift[:min(len(drift), eventapi.MaxDrift)]...), DriftTotal: len(drift),
		Mended: []eventapi.Mend{},
	}
}

// reportDrift reports drift to the operator, if there is any.
func (s *Service) reportDrift(ctx context.Context, r eventapi.Reconciliation) {
	if r.DriftTotal > 0 {
		s.drifts.ReportDrift(ctx, r)
	}
}

// reconciler is what a process remembers between its comparisons of all events.
type reconciler struct {
	mu sync.Mutex
	// after is the Identity of the last event that was compared. The next cleanup continues
	// with the event after it, and starts again after the last event.
	after string
	// suspects are the events whose differences may be work in flight.
	suspects map[string]suspect
}

// suspect is a comparison that must be repeated before its differences are drift.
type suspect struct {
	comparison
	at time.Time
}

// reconcileEvents compares the events that follow the ones which earlier calls compared, in
// the order of their identities, until jobBudget is used up or all events have been compared. It
// reports differences between counters and holds. The sweep repeats the comparison of events
// with other differences.
func (s *Service) reconcileEvents(ctx context.Context) error {
	start := s.now()
	first := s.reconciler.position()
	for after := first; ; {
		events, err := s.catalogue.EventIDs(ctx, after, eventPage)
		if err != nil {
			return fmt.Errorf("find events to reconcile: %w", err)
		}
		for _, e := range events {
			left := jobBudget - s.now().Sub(start)
			if left <= 0 {
				return nil
			}
			if err := s.reconcileInJob(ctx, e.ID, left); err != nil {
				return err
			}
			after = e.Identity
			s.reconciler.moveTo(after)
		}
		if len(events) < eventPage {
			s.reconciler.moveTo("")
			return nil
		}
	}
}

// reconcileInJob compares one event.
func (s *Service) reconcileInJob(ctx context.Context, eventID string, budget time.Duration) error {
	c, err := s.compare(ctx, eventID, budget)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // deleted meanwhile
	case err != nil:
		return err
	}
	if len(c.suspects) > 0 {
		s.reconciler.suspect(eventID, suspect{c, s.now()})
		c.suspects = nil
	}
	if c.counters != nil {
		s.reportDrift(ctx, s.newReconciliation(eventID, []eventapi.Drift{*c.counters}))
	}
	return nil
}

// recheckSuspects repeats the comparison of events whose differences were found at least
// HoldSettleAfter ago, and reports those that are still there.
func (s *Service) recheckSuspects(ctx context.Context) error {
	var failed []error
	for eventID, earlier := range s.reconciler.take(s.now().Add(-s.settleAfter), maxRechecks) {
		c, err := s.compare(ctx, eventID, requestBudget)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			failed = append(failed, err)
		default:
			c.counters, earlier.counters = nil, nil
			s.reportDrift(ctx, s.newReconciliation(eventID, c.confirmed(earlier.comparison)))
		}
	}
	return errors.Join(failed...)
}

func (r *reconciler) position() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.after
}

func (r *reconciler) moveTo(after string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = after
}

// suspect remembers that an event must be compared again. If too many events must, it does
// nothing: a later cleanup finds the event again.
func (r *reconciler) suspect(eventID string, found suspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.suspects == nil {
		r.suspects = map[string]suspect{}
	}
	if _, known := r.suspects[eventID]; known || len(r.suspects) < maxSuspects {
		r.suspects[eventID] = found
	}
}

// take removes up to limit of the events that were found by the given time, and returns them.
func (r *reconciler) take(by time.Time, limit int) map[string]suspect {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[string]suspect{}
	for id, found := range r.suspects {
		if len(taken) < limit && !found.at.After(by) {
			taken[id] = found
			delete(r.suspects, id)
		}
	}
	return taken
}
