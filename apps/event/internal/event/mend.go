package event

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"boxoffice/shared/contract/eventapi"
)

// maxMendAttempts limits how often a mend of the counters reads the holds, because seats
// moved meanwhile.
const maxMendAttempts = 3

// mend mends the drift of an event as far as it can: it writes the counters, releases holds
// without live bookings, and sells the holds of confirmed bookings. It returns what it
// changed. It cannot mend a booking without a hold, or with another quantity.
func (s *Service) mend(ctx context.Context, eventID string, drift []eventapi.Drift) ([]eventapi.Mend, error) {
	mended := []eventapi.Mend{}
	for _, d := range drift {
		var action string
		var err error
		switch d.Kind {
		case eventapi.DriftCounters: // the first one, because holds move between counters
			action, err = s.mendCounters(ctx, eventID)
		case eventapi.DriftNotLive, eventapi.DriftNotSold:
			action, err = s.mendHold(ctx, d.HoldID)
		}
		if err != nil {
			return mended, fmt.Errorf("mend event %s: %w", eventID, err)
		}
		if action != "" {
			mended = append(mended, eventapi.Mend{Drift: d, Action: action})
		}
	}
	return mended, nil
}

// mendHold releases or sells a hold as the booking app requires. It returns what it did, or
// "" if the hold needed no change.
func (s *Service) mendHold(ctx context.Context, holdID string) (action string, err error) {
	h, found, err := s.getHold(ctx, holdID)
	if err != nil || !found || h.State == Released {
		return "", err
	}
	settlement, err := s.settleOne(ctx, holdID)
	if err != nil {
		return "", fmt.Errorf("ask about hold %s: %w", holdID, err)
	}
	switch {
	case !settlement.Live:
		action = eventapi.MendReleased
	case settlement.Confirmed && h.State == Held:
		action = eventapi.MendSold
	default:
		return "", nil
	}
	return action, s.moveSettled(ctx, h.EventID, []settled{{h, settlement}})[0]
}

// mendCounters writes the counters that the holds of an event add up to. It returns what it
// did, or "" if the counters need no change, if the holds have more seats than the event, or
// if seats moved during each of maxMendAttempts attempts.
func (s *Service) mendCounters(ctx context.Context, eventID string) (action string, err error) {
	for range maxMendAttempts {
		isWritten, err := s.tryMendCounters(ctx, eventID)
		switch {
		case errors.Is(err, ErrStale):
			continue
		case err != nil || !isWritten:
			return "", err
		}
		return eventapi.MendCounters, nil
	}
	return "", nil
}

// tryMendCounters makes one attempt to mend the counters. It reads the event, finishes the
// steps of its marks, and then reads the holds. The write compares the seats.version that was
// read first, so it never overwrites a move that the holds did not show.
//
// The write also adds an entry to the capacity log, which makes the log add up to the new
// counters. This is usually the difference between the old and the new counters. There is
// none if the counters were changed without an entry, and only the log was right.
func (s *Service) tryMendCounters(ctx context.Context, eventID string) (isWritten bool, err error) {
	e, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	if err != nil {
		return false, err
	}
	finished, err := s.finishMarks(ctx, e)
	if err != nil {
		return false, err
	}
	sum, live, err := s.sumHolds(ctx, e.ID)
	if err != nil {
		return false, err
	}
	correct := e.Seats.correctCounters(sum)
	if correct == e.Seats.counters() || correct.Available < 0 {
		return false, nil
	}
	logged, err := s.sumLog(ctx, e)
	if err != nil {
		return false, err
	}
	w := e.Seats.NewWrite(e.ID)
	w.setCounters(correct)
	w.Live = live
	if change := correct.minus(logged); change != (Change{}) {
		w.Entries = append(slices.Clip(w.Entries), Entry{
			Version: w.newVersion(), At: s.now(), Cause: correctionCause(change), Change: change, TraceID: traceID(ctx),
		})
	}
	if err := s.writeSeats(ctx, w, finished); err != nil {
		return false, err
	}
	s.tryLogEntries(ctx, e.ID, w.NewEntries())
	return true, nil
}

// correctionCause returns the cause of the entry that corrects the capacity log: released if
// seats become available, reserved if they cease to be, and otherwise sold.
func correctionCause(c Change) Cause {
	switch {
	case c.Available > 0:
		return CauseReleased
	case c.Available < 0:
		return CauseReserved
	}
	return CauseSold
}

// setCounters sets the counters of the write.
func (w *SeatsWrite) setCounters(c Change) {
	w.Available, w.Held, w.Sold = c.Available, c.Held, c.Sold
	w.EverSold = w.EverSold || c.Sold > 0
}

// sumHolds returns the sum of the held and sold holds of an event, and their number.
func (s *Service) sumHolds(ctx context.Context, eventID string) (sum Change, live int64, err error) {
	var j join
	for holds := s.holdPages(eventID); !holds.isDone; {
		if err := holds.next(ctx, j.count); err != nil {
			return Change{}, 0, err
		}
	}
	return j.sum, j.live, nil
}

// sumLog returns the sum of the capacity log up to the seats.version of e. It logs the
// entries that e still has first. It returns ErrStale if entries were folded meanwhile.
func (s *Service) sumLog(ctx context.Context, e Event) (Change, error) {
	if err := s.logAll(ctx, e); err != nil {
		return Change{}, err
	}
	sum, after := e.Opening.Sum, EntryPosition{Version: e.Seats.Version + 1}
	for {
		entries, err := s.log.ListEntries(ctx, EntryQuery{EventID: e.ID, After: e.Opening.Through, Before: after, Limit: foldBatch})
		if err != nil {
			return Change{}, fmt.Errorf("sum the capacity log: %w", err)
		}
		for _, entry := range entries {
			sum, after = sum.Plus(entry.Change), EntryPosition{Version: entry.Version, Number: entry.Number}
		}
		if len(entries) < foldBatch {
			break
		}
	}
	now, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: e.ID, ByAdmin: true})
	if err == nil && now.Opening != e.Opening {
		err = ErrStale
	}
	return sum, err
}
