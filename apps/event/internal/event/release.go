package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// ReleaseSeats gives the seats of up to eventapi.MaxReserves holds of one event back; see
// eventapi.ReleaseSeats. The results are in the order of the requests.
func (s *Service) ReleaseSeats(ctx context.Context, reqs []eventapi.ReleaseRequest) ([]rpc.Result[rpc.Nothing], error) {
	if err := validateReleases(reqs); err != nil {
		return nil, err
	}
	results := make([]rpc.Result[rpc.Nothing], len(reqs))
	releases := make([]*release, len(reqs)) // nil where the request is invalid
	var members []*Member
	for i, req := range reqs {
		if results[i].Err = validateRelease(req); results[i].Err == nil {
			h := Hold{ID: req.HoldID, EventID: req.EventID, UserID: req.UserID, Quantity: req.Quantity}
			releases[i] = s.newRelease(h, decideRelease(h), Cause(req.Cause))
			releases[i].member.wasConfirmed = req.WasConfirmed
			members = append(members, releases[i].member)
		}
	}
	s.joinBatch(ctx, reqs[0].EventID, members...)
	completeAll(ctx, len(reqs), func(ctx context.Context, i int) {
		if r := releases[i]; r != nil {
			_, results[i].Err = r.complete(ctx)
		}
	})
	return results, nil
}

// release is the move of one hold to the state Released, or the writing of its tombstone.
type release struct {
	svc       *Service
	tombstone Hold // written if the hold is unknown
	member    *Member
}

// newRelease returns a release whose member carries out decide, for the given cause. The
// caller joins a batch with the member and then calls complete.
func (s *Service) newRelease(tombstone Hold, decide decision, cause Cause) *release {
	return &release{svc: s, tombstone: tombstone, member: &Member{holdID: tombstone.ID, decide: decide, cause: cause}}
}

// complete returns the hold as the batch left it, after it has finished the step. If the
// event is gone, complete releases the hold whatever the decision says.
func (r *release) complete(ctx context.Context) (h Hold, err error) {
	defer recoverTo(&err, "release of hold "+r.tombstone.ID)
	switch found, err := r.svc.complete(ctx, r.member); {
	case errors.Is(err, errGone):
		return r.svc.releaseWithoutEvent(ctx, r.tombstone)
	case err != nil:
		return Hold{}, err
	default:
		return *found, nil
	}
}

// release releases a hold in any state, for the given cause. If the hold is unknown, release
// writes h as a tombstone. wasConfirmed reports whether a confirmed booking used the hold.
func (s *Service) release(ctx context.Context, h Hold, cause Cause, wasConfirmed bool) error {
	r := s.newRelease(h, decideRelease(h), cause)
	r.member.wasConfirmed = wasConfirmed
	s.joinBatch(ctx, h.EventID, r.member)
	_, err := r.complete(ctx)
	return err
}

// writeTombstone writes h as a tombstone if the hold is unknown, and gives its limit entry
// back. It returns the hold as it is afterwards. It does nothing if the hold's seats are
// counted: then the hold is not in the state Released.
func (s *Service) writeTombstone(ctx context.Context, h Hold) (Hold, error) {
	r := s.newRelease(h, decideTombstone(h), CauseReleased)
	s.joinBatch(ctx, h.EventID, r.member)
	current, err := r.complete(ctx)
	if err != nil || current.State != Released {
		return current, err
	}
	// If the hold had been released before this entry was claimed, the step of that
	// release did not give the entry back.
	return current, s.giveBackEntry(ctx, h)
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
