package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"boxoffice/shared/apperr"
)

const (
	// maxTries is how often a move looks again after a miss. Each miss means that
	// another move went through.
	maxTries = 64
	// maxMarks is how many marks an event carries before a move stops to finish
	// and remove them all.
	maxMarks = 64
)

// errGone says that there is no event whose seats could move.
var errGone = errors.New("the event is gone")

// decision is what a move does, from an event and a hold that were read in this
// order. A nil next moves nothing.
type decision func(e Event, h *Hold) (next *Hold, err error)

// move is the only way by which seats move for a hold. It returns the hold as it
// is in the end, which is nil when there is none.
//
// It returns errGone when there is no event, and what decide returns.
func (s *Service) move(ctx context.Context, eventID, holdID string, decide decision) (*Hold, error) {
	// Those of one process go one after the other: together they would only miss
	// on each other's versions.
	unlock := sync.OnceFunc(s.turns.Lock(ctx, eventID))
	defer unlock()
	for range maxTries {
		e, err := s.events.Event(ctx, eventID)
		switch {
		case errors.Is(err, ErrNoEvent), err == nil && e.Status == Deleted:
			return nil, errGone
		case err != nil:
			return nil, fmt.Errorf("read event %s: %w", eventID, err)
		}
		h, err := s.settled(ctx, e, holdID)
		if err != nil {
			return nil, err
		}
		next, err := decide(e, h)
		if err != nil || next == nil {
			return h, err
		}
		err = s.write(ctx, e, h, *next)
		switch {
		case errors.Is(err, ErrStale):
			continue
		case err != nil:
			return nil, err
		}
		unlock()
		return next, s.finish(ctx, *next)
	}
	return nil, apperr.Overloaded(busyFor)
}

// settled reads a hold after its event was read, and first finishes the step that
// the event has a mark of. It returns nil when there is no hold.
func (s *Service) settled(ctx context.Context, e Event, holdID string) (*Hold, error) {
	mark, marked := e.Seats.Marks[holdID]
	// Asked before the hold is read: a step that another finishes in between would
	// be known as finished, and the hold still be as it was before.
	finished := marked && s.finished.has(e.ID, mark)
	h, err := s.hold(ctx, holdID)
	if err != nil || !marked || finished {
		return h, err
	}
	if h == nil || h.State.order() < mark.State.order() || mark.owesLimit() {
		if err := s.finish(ctx, mark); err != nil {
			return nil, err
		}
		h, err = s.hold(ctx, holdID)
	}
	return h, err
}

func (s *Service) hold(ctx context.Context, id string) (*Hold, error) {
	h, err := s.holds.Hold(ctx, id)
	switch {
	case errors.Is(err, ErrNoHold):
		return nil, nil // no hold is an answer, and callers need it apart from a failure
	case err != nil:
		return nil, fmt.Errorf("read hold %s: %w", id, err)
	}
	return &h, nil
}

// write moves the seats: their counters and the hold's mark, in one write. It
// returns ErrStale when the event was written since it was read; nothing has
// happened then. This is where the moves of many holds could share a write.
func (s *Service) write(ctx context.Context, e Event, h *Hold, next Hold) error {
	var from HoldState
	if h != nil {
		from = h.State
	}
	done := s.finished.among(e)
	if len(e.Seats.Marks)-len(done) >= maxMarks {
		all, err := s.finishMarks(ctx, e)
		if err != nil {
			return err
		}
		done = all
	}
	w, err := e.Seats.Write(e.ID, []Move{{From: from, To: next}}, done)
	if err != nil {
		return err
	}
	if err := s.events.WriteSeats(ctx, w); err != nil {
		return fmt.Errorf("move seats of event %s: %w", e.ID, err)
	}
	s.finished.drop(e.ID, w.Cleared)
	return nil
}

// finish brings a hold to where its mark says it is, and gives the limit back
// that a released one has. Done twice it changes nothing.
func (s *Service) finish(ctx context.Context, mark Hold) error {
	if err := s.writeHold(ctx, mark); err != nil {
		return fmt.Errorf("finish hold %s as %s: %w", mark.ID, mark.State, err)
	}
	if mark.owesLimit() {
		if err := s.limits.GiveBack(ctx, mark.limitKey(), mark.ID, mark.Quantity); err != nil {
			return fmt.Errorf("give back the limit of hold %s: %w", mark.ID, err)
		}
	}
	s.finished.add(mark)
	return nil
}

func (s *Service) writeHold(ctx context.Context, mark Hold) error {
	if mark.State != Held {
		err := s.holds.MoveHold(ctx, mark)
		if !errors.Is(err, ErrNoHold) || mark.State != Released {
			return err
		}
	}
	// A hold that is there was written by another who finished this step, and may
	// have gone on since.
	if err := s.holds.InsertHold(ctx, mark); !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

// owesLimit says that the step ends with the user's limit.
func (h Hold) owesLimit() bool { return h.Limited && h.State == Released }

// finishMarks finishes every step that the event has a mark of, and returns the
// holds, so that the marks can be removed at the event's version.
func (s *Service) finishMarks(ctx context.Context, e Event) ([]string, error) {
	ids := slices.Sorted(maps.Keys(e.Seats.Marks))
	for _, id := range ids {
		if mark := e.Seats.Marks[id]; !s.finished.has(e.ID, mark) {
			if err := s.finish(ctx, mark); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

// clearMarks finishes every step that the event has a mark of and removes the
// marks. It returns ErrStale when the event was written since it was read.
func (s *Service) clearMarks(ctx context.Context, e Event) error {
	ids, err := s.finishMarks(ctx, e)
	if err != nil {
		return err
	}
	w, err := e.Seats.Write(e.ID, nil, ids)
	if err != nil {
		return err
	}
	if err := s.events.WriteSeats(ctx, w); err != nil {
		return fmt.Errorf("clear marks of event %s: %w", e.ID, err)
	}
	s.finished.drop(e.ID, ids)
	return nil
}
