package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// maxMarks limits the marks of unfinished steps that an event carries. At that many, a
// write first finishes all of them and removes their marks.
const maxMarks = 4 * maxBatch

// owesEntry reports whether the step to this state ends with giving the hold's entry
// in the user's limit back.
func (h Hold) owesEntry() bool { return h.Limited && h.State == Released }

// writeMoves writes the seats of e: the counters and the marks, in one
// compare-and-set. It returns ErrStale if the event was written since it was read;
// nothing has happened then.
func (s *Service) writeMoves(ctx context.Context, e Event, w SeatsWrite) error {
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

// writeSeats writes the seats and removes the marks of the holds whose steps are
// finished.
func (s *Service) writeSeats(ctx context.Context, w SeatsWrite, finished []string) error {
	w.Clear(finished)
	if err := s.events.WriteSeats(ctx, w); err != nil {
		return fmt.Errorf("write seats of event %s: %w", w.EventID, err)
	}
	s.steps.forget(w.EventID, w.Cleared)
	return nil
}

// finishSteps brings hold documents to the states of their marks, and then gives back
// the limit entries of the released ones. It is idempotent.
func (s *Service) finishSteps(ctx context.Context, marks ...Hold) error {
	missing, err := s.moveHolds(ctx, marks)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		// A hold that exists by now was written by another process that finished this
		// step. It may have moved on since, so InsertHolds leaves it as it is.
		if err := s.holds.InsertHolds(ctx, missing); err != nil {
			return fmt.Errorf("finish %d holds of event %s: %w", len(missing), missing[0].EventID, err)
		}
	}
	for _, mark := range marks {
		if mark.owesEntry() {
			if err := s.giveBackEntry(ctx, mark); err != nil {
				return err
			}
		}
		s.steps.add(mark)
	}
	return nil
}

// moveHolds moves the hold documents that exist to the states of their marks. It
// returns the holds that must be inserted instead: new ones, and tombstones.
func (s *Service) moveHolds(ctx context.Context, marks []Hold) (missing []Hold, err error) {
	for _, mark := range marks {
		if mark.State == Held {
			missing = append(missing, mark)
			continue
		}
		err := s.holds.MoveHold(ctx, mark)
		switch {
		case errors.Is(err, ErrNoHold) && mark.State == Released:
			missing = append(missing, mark)
		case err != nil:
			return nil, fmt.Errorf("finish hold %s as %s: %w", mark.ID, mark.State, err)
		}
	}
	return missing, nil
}

// finishMarks finishes every step that the event has a mark of. It returns the ids of
// the marks, which may be removed at the version of e.
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

// clearMarks finishes every step that the event has a mark of, and removes the marks.
// It returns ErrStale if the event was written since it was read.
func (s *Service) clearMarks(ctx context.Context, e Event) error {
	ids, err := s.finishMarks(ctx, e)
	if err != nil {
		return err
	}
	return s.writeSeats(ctx, e.Seats.NewWrite(e.ID), ids)
}
