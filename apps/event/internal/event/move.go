package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
)

const (
	// maxTries is how often a round looks again after a miss. Each miss means that
	// a write of another process went through.
	maxTries = 64
	// maxShared is how many moves share a write at most: it bounds the document,
	// which carries the marks of two rounds at once, and the time of a round.
	maxShared = eventapi.MaxReserves
	// roundFor bounds a round that several share.
	roundFor = 5 * time.Second
	// claimWithin bounds the claims that a round waits for, so that one that hangs
	// takes the time of its round from nobody.
	claimWithin = 2 * time.Second
	// resultWithin bounds what a reserve does after its round: those that came in one
	// request with it wait.
	resultWithin = 2 * time.Second
	// maxMarks is how many marks of unfinished steps an event carries before a round
	// stops to finish and remove them all.
	maxMarks = 4 * maxShared
)

// errGone says that there is no event whose seats could move.
var errGone = errors.New("the event is gone")

// decision is what a move does, from an event and a hold that were read in this
// order; the seats are as the moves before it in the same write leave them. A nil
// next moves nothing. It may be asked again and again.
type decision func(e Event, h *Hold) (next *Hold, err error)

// mover is one hold on its way.
type mover struct {
	holdID string
	decide decision
	// limited says that what it takes counts for the user's limit, where the event
	// has one.
	limited bool
	// claimed says that an entry of the hold may be in the user's limit, entered
	// that it was seen there: what became of a claim may be unknown.
	claimed, entered bool

	// What its round comes to, from one read of the event.
	hold    *Hold // as it was found; nil when there is none
	granted bool  // its entry is in the user's limit
	denied  error // why not
	next    *Hold // what the hold becomes; nil when it stays as it is
	refusal error

	err error           // how it ended
	ctx context.Context //nolint:containedctx // of the request, while it moves
}

// newBatches lets the moves of one event that come together share the reads and the
// write of one of them. That rounds of several processes never count a seat twice
// is the doing of the compare-and-set.
func newBatches(follow func(ctx, leader context.Context) (through func())) *coalesce.Group[*mover] {
	return coalesce.New(coalesce.Config[*mover]{
		MaxItems: maxShared, Timeout: roundFor, Follow: follow,
		Key: func(m *mover) string { return m.holdID },
	})
}

// move is the only way by which seats move for a hold. It returns the hold as it
// is in the end, which is nil when there is none.
//
// It returns errGone when there is no event, and what m.decide returns.
func (s *Service) move(ctx context.Context, eventID string, m *mover) (*Hold, error) {
	s.start(ctx, eventID, m)
	return s.moved(ctx, m)
}

// start moves the seats for holds of one event, each hold once, in one round. What
// became of each says moved.
func (s *Service) start(ctx context.Context, eventID string, movers ...*mover) {
	if len(movers) == 0 {
		return
	}
	for _, m := range movers {
		m.ctx = ctx
	}
	if s.alone {
		for _, m := range movers {
			s.lead(ctx, eventID, []*mover{m}, func() {})
		}
		return
	}
	err := s.batches.Do(ctx, eventID, func(ctx context.Context, round []*mover, over func()) {
		s.lead(ctx, eventID, round, over)
	}, movers...)
	if err != nil {
		for _, m := range movers {
			m.err = err
		}
	}
}

// moved returns the hold as it is after its round, and ends what the round left
// to it.
func (s *Service) moved(ctx context.Context, m *mover) (*Hold, error) {
	switch {
	case m.err != nil:
		return nil, m.err
	case m.next == nil:
		return m.hold, nil
	case m.next.State == Held: // the round has finished it, with all others
		return m.next, nil
	}
	return m.next, s.finish(ctx, *m.next)
}

// lead brings a round to its end, for all who are in it. over lets the next one
// begin.
func (s *Service) lead(ctx context.Context, eventID string, round []*mover, over func()) {
	err := s.count(ctx, eventID, round)
	over()
	var held []*mover
	var marks []Hold
	for _, m := range round {
		switch {
		case err != nil:
			m.err = err
		case m.refusal == nil && m.next != nil && m.next.State == Held:
			held, marks = append(held, m), append(marks, *m.next)
		default:
			m.err = m.refusal
		}
	}
	err = s.finish(ctx, marks...)
	for _, m := range held {
		m.err = err
	}
}

// count decides for all of a round, and writes the seats and the marks of those
// who move. Nothing has happened when it fails with errGone, or too many misses;
// after any other failure that is unknown.
func (s *Service) count(ctx context.Context, eventID string, round []*mover) error {
	for range maxTries {
		e, err := s.events.GetEvent(ctx, eventID)
		switch {
		case errors.Is(err, ErrNoEvent), err == nil && e.Status == Deleted:
			return errGone
		case err != nil:
			return fmt.Errorf("read event %s: %w", eventID, err)
		}
		if err := s.find(ctx, e, round); err != nil {
			return err
		}
		w := s.decided(e, round) //nolint:contextcheck // claims are in the contexts of their own requests
		if len(w.Set) == 0 {
			return nil
		}
		if err := s.write(ctx, e, w); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return apperr.Overloaded(busyFor)
}

// find reads the holds of a round after their event was read, and first finishes
// the steps of theirs that the event has a mark of.
func (s *Service) find(ctx context.Context, e Event, round []*mover) error {
	ids := make([]string, len(round))
	var unfinished []Hold
	for i, m := range round {
		ids[i] = m.holdID
		// Asked before the holds are read: a step that another finishes in between
		// would be known as finished, and the hold still be as it was before.
		if mark, marked := e.Seats.Marks[m.holdID]; marked && !s.finished.has(e.ID, mark) {
			unfinished = append(unfinished, mark)
		}
	}
	holds, err := s.holds.GetHolds(ctx, ids)
	if err != nil {
		return fmt.Errorf("read holds of event %s: %w", e.ID, err)
	}
	lagging := slices.DeleteFunc(unfinished, func(mark Hold) bool {
		return holds[mark.ID].State.order() >= mark.State.order() && !mark.owesLimit()
	})
	if len(lagging) > 0 {
		if err := s.finish(ctx, lagging...); err != nil {
			return err
		}
		if holds, err = s.holds.GetHolds(ctx, ids); err != nil {
			return fmt.Errorf("read holds of event %s: %w", e.ID, err)
		}
	}
	for _, m := range round {
		m.hold, m.granted, m.denied = nil, false, nil
		if h, ok := holds[m.holdID]; ok {
			m.hold = &h
		}
	}
	return nil
}

// decided asks each of a round what it does, one after the other, each with the
// seats that those before leave it, and returns the write of all. Who counts for a
// user's limit claims an entry first, all at once; then all are asked again, since
// the seats of one that was denied are there for the others.
func (s *Service) decided(e Event, round []*mover) SeatsWrite {
	for {
		w := e.Seats.write(e.ID)
		var claims []*mover
		for _, m := range round {
			if m.denied != nil {
				m.next, m.refusal = nil, m.denied
				continue
			}
			seen := e
			seen.Seats.Available, seen.Seats.Held, seen.Seats.Sold = w.Available, w.Held, w.Sold
			m.next, m.refusal = m.decide(seen, m.hold)
			if m.next == nil || m.refusal != nil {
				continue
			}
			m.next.Limited = m.next.Limited || m.entered
			if m.refusal = w.add(m.move()); m.refusal == nil && m.limited && e.MaxPerUser != nil && !m.granted {
				claims = append(claims, m)
			}
		}
		if len(claims) == 0 {
			return w
		}
		s.claimAll(e, claims)
	}
}

// move is what the mover does to the seats.
func (m *mover) move() Move {
	if m.hold == nil {
		return Move{To: *m.next}
	}
	return Move{From: m.hold.State, To: *m.next}
}

// claimAll asks for the entries of all, each in the name of its own request.
func (s *Service) claimAll(e Event, movers []*mover) {
	var claims sync.WaitGroup
	for _, m := range movers[1:] {
		claims.Go(func() { s.claimFor(e, m) })
	}
	s.claimFor(e, movers[0])
	claims.Wait()
}

func (s *Service) claimFor(e Event, m *mover) {
	defer func() { m.claimed = m.claimed || m.denied != nil && apperr.VerdictOf(m.denied) != apperr.Refused }()
	defer recovered("claim of hold "+m.holdID, &m.denied)
	ctx, cancel := context.WithTimeout(m.ctx, claimWithin)
	defer cancel()
	there, err := s.claim(ctx, e, *m.next)
	m.entered = m.entered || there
	m.claimed = m.claimed || there
	m.granted, m.denied = err == nil, err
}

// write writes the seats: their counters and the marks, in one write. It returns
// ErrStale when the event was written since it was read; nothing has happened then.
func (s *Service) write(ctx context.Context, e Event, w SeatsWrite) error {
	done := s.finished.among(e)
	if len(e.Seats.Marks)-len(done) >= maxMarks {
		all, err := s.finishMarks(ctx, e)
		if err != nil {
			return err
		}
		done = all
	}
	return s.writeWithout(ctx, w, done)
}

// writeWithout writes the seats and takes the marks of finished steps off.
func (s *Service) writeWithout(ctx context.Context, w SeatsWrite, done []string) error {
	w.clear(done)
	if err := s.events.WriteSeats(ctx, w); err != nil {
		return fmt.Errorf("write seats of event %s: %w", w.EventID, err)
	}
	s.finished.drop(w.EventID, w.Cleared)
	return nil
}

// finish brings holds to where their marks say they are, and gives the limit back
// that a released one has. Done twice it changes nothing.
func (s *Service) finish(ctx context.Context, marks ...Hold) error {
	var missing []Hold
	for _, mark := range marks {
		if mark.State == Held {
			missing = append(missing, mark)
			continue
		}
		err := s.holds.MoveHold(ctx, mark)
		switch {
		case errors.Is(err, ErrNoHold) && mark.State == Released:
			missing = append(missing, mark) // a tombstone
		case err != nil:
			return fmt.Errorf("finish hold %s as %s: %w", mark.ID, mark.State, err)
		}
	}
	if len(missing) > 0 {
		// One that is there was written by another who finished this step, and may
		// have gone on since.
		if err := s.holds.InsertHolds(ctx, missing); err != nil {
			return fmt.Errorf("finish %d holds of event %s: %w", len(missing), missing[0].EventID, err)
		}
	}
	for _, mark := range marks {
		if mark.owesLimit() {
			if err := s.limits.GiveBack(ctx, mark.limitKey(), mark.ID, mark.Quantity); err != nil {
				return fmt.Errorf("give back the limit of hold %s: %w", mark.ID, err)
			}
		}
		s.finished.add(mark)
	}
	return nil
}

// owesLimit says that the step ends with the user's limit.
func (h Hold) owesLimit() bool { return h.Limited && h.State == Released }

// finishMarks finishes every step that the event has a mark of, and returns the
// holds, so that the marks can be removed at the event's version.
func (s *Service) finishMarks(ctx context.Context, e Event) ([]string, error) {
	ids := slices.Sorted(maps.Keys(e.Seats.Marks))
	var unfinished []Hold
	for _, id := range ids {
		if mark := e.Seats.Marks[id]; !s.finished.has(e.ID, mark) {
			unfinished = append(unfinished, mark)
		}
	}
	return ids, s.finish(ctx, unfinished...)
}

// clearMarks finishes every step that the event has a mark of and removes the
// marks. It returns ErrStale when the event was written since it was read.
func (s *Service) clearMarks(ctx context.Context, e Event) error {
	ids, err := s.finishMarks(ctx, e)
	if err != nil {
		return err
	}
	return s.writeWithout(ctx, e.Seats.write(e.ID), ids)
}
