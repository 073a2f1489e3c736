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

// release brings a hold to Released. If the hold is unknown, release writes h as a
// tombstone.
func (s *Service) release(ctx context.Context, h Hold) error {
	_, err := s.moveToReleased(ctx, h, decideRelease(h))
	return err
}

// writeTombstone writes h as a tombstone unless the hold's seats are counted, and
// gives its limit entry back. It reports whether the seats are counted; nothing has
// happened then.
func (s *Service) writeTombstone(ctx context.Context, h Hold) (isCounted bool, err error) {
	current, err := s.moveToReleased(ctx, h, decideTombstone(h))
	if err != nil {
		return false, err
	}
	if current.State != Released {
		return true, nil
	}
	// The tombstone may be another process's and older than the claim of this entry.
	return false, s.giveBackEntry(ctx, h)
}

// decideRelease returns the decision to release a hold in any state, or to write a
// tombstone for an unknown one.
func decideRelease(unknown Hold) decision {
	writeTombstone := decideTombstone(unknown)
	return func(e Event, h *Hold, now time.Time) outcome {
		if h == nil || h.State == Released {
			return writeTombstone(e, h, now)
		}
		return moveTo(h.releasedAt(now))
	}
}

// decideTombstone returns the decision to write a tombstone for an unknown hold, and
// to leave any other as it is.
func decideTombstone(unknown Hold) decision {
	return func(e Event, h *Hold, now time.Time) outcome {
		if h != nil {
			return keepHold()
		}
		next := unknown.releasedAt(now)
		next.Limited = next.Limited || e.MaxPerUser != nil
		return moveTo(next)
	}
}

// releasedAt returns the hold as it is once it has been released.
func (h Hold) releasedAt(now time.Time) Hold {
	h.State, h.MovedAt, h.SettleAt = Released, now, time.Time{}
	return h
}

// moveToReleased carries out a decision to release a hold, even if the event is gone.
// It returns the hold as it is afterwards.
func (s *Service) moveToReleased(ctx context.Context, unknown Hold, decide decision) (Hold, error) {
	h, err := s.move(ctx, unknown.EventID, &Member{holdID: unknown.ID, decide: decide})
	switch {
	case errors.Is(err, errGone):
		return s.releaseWithoutEvent(ctx, unknown)
	case err != nil:
		return Hold{}, err
	}
	return *h, nil
}

// releaseWithoutEvent releases a hold whose event is gone. There are no seats to
// count, and any reserve that is under way will fail as well.
func (s *Service) releaseWithoutEvent(ctx context.Context, unknown Hold) (Hold, error) {
	h, found, err := s.getHold(ctx, unknown.ID)
	switch {
	case err != nil:
		return Hold{}, err
	case !found:
		h = unknown
	}
	h = h.releasedAt(s.now())
	h.Limited = true // the event can no longer tell, so an entry must be looked for
	return h, s.finishSteps(ctx, h)
}

// getHold returns a hold, and whether there is one.
func (s *Service) getHold(ctx context.Context, id string) (h Hold, found bool, err error) {
	holds, err := s.holds.GetHolds(ctx, []string{id})
	if err != nil {
		return Hold{}, false, fmt.Errorf("read hold %s: %w", id, err)
	}
	h, found = holds[id]
	return h, found, nil
}
