package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// ReleaseSeats gives the seats of a hold back; see eventapi.ReleaseSeats.
func (s *Service) ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) (rpc.Nothing, error) {
	if err := validateRelease(req); err != nil {
		return rpc.Nothing{}, err
	}
	err := s.release(ctx, Hold{ID: req.HoldID, EventID: req.EventID, UserID: req.UserID, Quantity: req.Quantity})
	return rpc.Nothing{}, err
}

// release releases a hold in any state. If the hold is unknown, release writes h as a
// tombstone.
func (s *Service) release(ctx context.Context, h Hold) error {
	_, err := s.moveToReleased(ctx, h, decideRelease(h))
	return err
}

// writeTombstone writes h as a tombstone if the hold is unknown, and gives its limit entry
// back. If the hold's seats are counted, it does nothing and reports true.
func (s *Service) writeTombstone(ctx context.Context, h Hold) (isCounted bool, err error) {
	current, err := s.moveToReleased(ctx, h, decideTombstone(h))
	if err != nil {
		return false, err
	}
	if current.State != Released {
		return true, nil
	}
	// If the hold had been released before this entry was claimed, the step of that
	// release did not give the entry back.
	return false, s.giveBackEntry(ctx, h)
}

// decideRelease returns the decision to release a hold in any state, or to write the
// tombstone if the hold is unknown.
func decideRelease(tombstone Hold) decision {
	writeTombstone := decideTombstone(tombstone)
	return func(e Event, h *Hold, now time.Time) outcome {
		if h == nil || h.State == Released {
			return writeTombstone(e, h, now)
		}
		return moveTo(h.releasedAt(now))
	}
}

// decideTombstone returns the decision to write the tombstone if the hold is unknown, and
// to leave a known hold as it is.
func decideTombstone(tombstone Hold) decision {
	return func(e Event, h *Hold, now time.Time) outcome {
		if h != nil {
			return keepHold()
		}
		next := tombstone.releasedAt(now)
		next.Limited = next.Limited || e.MaxPerUser != nil
		return moveTo(next)
	}
}

// releasedAt returns the hold in the state Released.
func (h Hold) releasedAt(now time.Time) Hold {
	h.State, h.MovedAt, h.SettleAt = Released, now, time.Time{}
	return h
}

// moveToReleased carries out a decision to release a hold or to write its tombstone. If
// the event is gone, it releases the hold whatever decide says. It returns the hold as it
// is afterwards.
func (s *Service) moveToReleased(ctx context.Context, tombstone Hold, decide decision) (Hold, error) {
	h, err := s.move(ctx, tombstone.EventID, &Member{holdID: tombstone.ID, decide: decide})
	switch {
	case errors.Is(err, errGone):
		return s.releaseWithoutEvent(ctx, tombstone)
	case err != nil:
		return Hold{}, err
	}
	return *h, nil
}

// releaseWithoutEvent releases a hold whose event is gone, or writes its tombstone. There
// are no seats to count, and a reserve that is under way fails, because it finds the event
// gone too.
func (s *Service) releaseWithoutEvent(ctx context.Context, tombstone Hold) (Hold, error) {
	h, found, err := s.getHold(ctx, tombstone.ID)
	switch {
	case err != nil:
		return Hold{}, err
	case !found:
		h = tombstone
	}
	h = h.releasedAt(s.now())
	h.Limited = true // the event's limit is unknown; giving back an entry that does not exist is harmless
	return h, s.finishSteps(ctx, h)
}

// getHold returns a hold. It reports whether the hold exists.
func (s *Service) getHold(ctx context.Context, id string) (h Hold, found bool, err error) {
	holds, err := s.holds.GetHolds(ctx, []string{id})
	if err != nil {
		return Hold{}, false, fmt.Errorf("read hold %s: %w", id, err)
	}
	h, found = holds[id]
	return h, found, nil
}
