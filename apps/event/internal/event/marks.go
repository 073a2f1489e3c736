package event

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// maxMarks limits the marks of an event whose steps are not known to be finished. A move
// that finds this many finishes all steps first, and removes the marks. Normally a write
// removes the marks of the previous one. More of them accumulate if many processes move
// seats of the same event, or if processes crash.
const maxMarks = 4 * maxBatch

// mustGiveBackEntry reports whether the hold's limit entry must be given back to finish the
// step to this state.
func (h Hold) mustGiveBackEntry() bool { return h.Limited && h.State == Released }

// writeMoves makes the write w, which was computed from e. The write also removes the
// marks of e whose steps are finished, and the log entries of e that are logged. writeMoves
// returns ErrStale if the event was written since e was read; no seats have moved then.
func (s *Service) writeMoves(ctx context.Context, e Event, w SeatsWrite) error {
	if err := s.boundEntries(ctx, e); err != nil {
		return err
	}
	finished := s.steps.finishedMarks(e)
	if len(e.Seats.Marks)-len(finished) >= maxMarks {
		all, err := s.finishMarks(ctx, e)
		if err != nil {
			return err
		}
		finished = all
	}
	return s.writeSeats(ctx, w, finished)
}

// writeSeats makes the write w. It removes the marks of the holds in finished, and the log
// entries that are known to be logged.
func (s *Service) writeSeats(ctx context.Context, w SeatsWrite, finished []string) error {
	w.Clear(finished)
	w.Drop(func(entry Entry) bool { return s.logged.has(w.EventID, entry) })
	if err := s.events.WriteSeats(ctx, w); err != nil {
		return fmt.Errorf("write seats of event %s: %w", w.EventID, err)
	}
	s.steps.forget(w.EventID, w.Cleared)
	s.logged.keep(w.EventID, w.Entries, w.Version)
	return nil
}

// finishSteps brings hold documents to the states of their marks, and then gives back
// the limit entries of those that are released. It is idempotent.
func (s *Service) finishSteps(ctx context.Context, marks ...Hold) error {
	if err := s.storeHolds(ctx, marks); err != nil {
		return err
	}
	for _, mark := range marks {
		if err := s.finishEntry(ctx, mark); err != nil {
			return err
		}
	}
	return nil
}

// finishEntry finishes the step of a mark whose hold is stored: it gives the limit entry back
// if the mark requires that.
func (s *Service) finishEntry(ctx context.Context, mark Hold) error {
	if mark.mustGiveBackEntry() {
		if err := s.giveBackEntry(ctx, mark); err != nil {
			return err
		}
	}
	s.steps.add(mark)
	if mark.State == Released {
		s.released.Add(mark.ID, struct{}{})
	}
	return nil
}

// storeHolds brings hold documents to the states of their marks, in at most two writes.
func (s *Service) storeHolds(ctx context.Context, marks []Hold) error {
	missing, err := s.moveHolds(ctx, marks)
	if err != nil || len(missing) == 0 {
		return err
	}
	// If a hold exists by now, another process has finished its step. The hold may
	// have moved on since, so InsertHolds leaves it as it is.
	if err := s.holds.InsertHolds(ctx, missing); err != nil {
		return fmt.Errorf("finish %d holds of event %s: %w", len(missing), missing[0].EventID, err)
	}
	return nil
}

// moveHolds updates sold and released holds to the states of their marks. It returns
// the holds that must be inserted instead: held ones, and tombstones.
func (s *Service) moveHolds(ctx context.Context, marks []Hold) (missing []Hold, err error) {
	var moved []Hold
	for _, mark := range marks {
		if mark.State == Held {
			missing = append(missing, mark)
		} else {
			moved = append(moved, mark)
		}
	}
	if len(moved) == 0 {
		return missing, nil
	}
	unknown, err := s.holds.MoveHolds(ctx, moved)
	if err != nil {
		return nil, fmt.Errorf("finish %d holds of event %s: %w", len(moved), moved[0].EventID, err)
	}
	for _, mark := range moved {
		switch {
		case !unknown[mark.ID]:
		case mark.State == Released:
			missing = append(missing, mark)
		default:
			return nil, fmt.Errorf("finish hold %s as %s: there is no such hold", mark.ID, mark.State)
		}
	}
	return missing, nil
}

// finishMarks finishes the steps of all marks of e. It returns the ids of their holds. A
// write at the version of e may remove these marks.
func (s *Service) finishMarks(ctx context.Context, e Event) ([]string, error) {
	ids := slices.Sorted(maps.Keys(e.Seats.Marks))
	var unfinished []Hold
	for _, id := range ids {
		if mark := e.Seats.Marks[id]; !s.steps.has(e.ID, mark) {
			unfinished = append(unfinished, mark)
		}
	}
	return ids, s.finishSteps(ctx, unfinished...)
}

// clearMarks finishes the steps of all marks of e and logs all of its entries. It then
// removes the marks and the entries. It returns ErrStale if the event was written since e
// was read; the steps are finished and the entries are logged even then.
func (s *Service) clearMarks(ctx context.Context, e Event) error {
	ids, err := s.finishMarks(ctx, e)
	if err != nil {
		return err
	}
	if err := s.logAll(ctx, e); err != nil {
		return err
	}
	return s.writeSeats(ctx, e.Seats.NewWrite(e.ID), ids)
}
