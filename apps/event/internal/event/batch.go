package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/shared/cas"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
)

const (
	// maxBatch limits the members of a batch that several requests share. It bounds
	// the size of the event document, which carries the marks of two batches at once,
	// and the time that a batch takes.
	maxBatch = eventapi.MaxReserves
	// batchTimeout limits how long a batch that several requests share may run.
	batchTimeout = 5 * time.Second
)

// errGone is the outcome of every member if there is no event whose seats could move.
var errGone = errors.New("the event is gone")

// A decision returns what a member does to a hold, given a snapshot of its event and
// the hold, which was read after the event. The hold is nil if there is none. The
// snapshot's counters are as the members before it in the batch leave them.
//
// A decision is a pure function: a batch asks it again for every snapshot that it
// reads, and again after claims of the batch were denied.
type decision func(e Event, h *Hold, now time.Time) outcome

// outcomeKind is the kind of a member's outcome.
type outcomeKind int

const (
	undecided outcomeKind = iota
	unchanged             // the hold stays as it is
	moved                 // the batch's write moves the hold's seats
	failed                // the move was refused, or its result is unknown
)

// outcome is the result of a decision and, in the end, of a member's batch.
type outcome struct {
	kind outcomeKind
	next Hold  // what the hold becomes, if it is moved
	err  error // why the member failed, if it did
}

func keepHold() outcome          { return outcome{kind: unchanged} }
func moveTo(next Hold) outcome   { return outcome{kind: moved, next: next} }
func failWith(err error) outcome { return outcome{kind: failed, err: err} }

// claimState is the state of a member's claim in one attempt of its batch.
type claimState int

const (
	unclaimed claimState = iota
	claimGranted
	claimDenied // Member.claimErr tells why
)

// entryEvidence tells whether a hold may have an entry in its user's limit. The
// values are in the order of certainty.
type entryEvidence int

const (
	noEntry       entryEvidence = iota // no claim can have added one
	entryPossible                      // the result of a claim is unknown
	entrySeen                          // a claim added or found the entry
)

// Member is one hold in a batch of moves.
type Member struct {
	ctx    context.Context //nolint:containedctx // of the member's request, for its claims
	holdID string
	decide decision
	// isLimited reports whether the hold's seats count toward the user's limit. It has
	// no effect on events without a limit.
	isLimited bool
	// entry only ever rises. It outlives the attempts, because an entry that one of
	// them left behind must be given back if a later one refuses the hold.
	entry entryEvidence

	attempt
}

// attempt is the state of a member in one attempt of its batch, that is, for one
// snapshot of the event.
type attempt struct {
	event    Event // the snapshot
	hold     *Hold // as it was read after the snapshot; nil if there is none
	claim    claimState
	claimErr error
	outcome  outcome
}

// NewBatches returns the Batcher of a running program. Follow is called for each
// request whose move another request carries out; see coalesce.Config.
func NewBatches(follow func(ctx, leader context.Context) (end func())) *coalesce.Group[*Member] {
	return coalesce.New(coalesce.Config[*Member]{
		MaxItems: maxBatch, Timeout: batchTimeout, Follow: follow,
		Key: func(m *Member) string { return m.holdID },
	})
}

// move moves the seats of one hold, alone or in a batch. It returns the hold as it is
// afterwards, or nil if there is none. It returns errGone if there is no event, and
// the error of the member's decision.
func (s *Service) move(ctx context.Context, eventID string, m *Member) (*Hold, error) {
	s.joinBatch(ctx, eventID, m)
	return s.complete(ctx, m)
}

// joinBatch moves the seats of distinct holds of one event in one batch. It returns
// when the batch has ended; complete then returns the result of each member.
func (s *Service) joinBatch(ctx context.Context, eventID string, members ...*Member) {
	if len(members) == 0 {
		return
	}
	for _, m := range members {
		m.ctx = ctx
	}
	err := s.batches.Do(ctx, eventID, func(ctx context.Context, members []*Member, release func()) {
		b := batch{svc: s, eventID: eventID, members: members}
		b.run(ctx, release)
	}, members...)
	if err != nil {
		failAll(members, err)
	}
}

// complete returns the hold of a member whose batch has ended, or nil if there is
// none. If the hold was sold or released, complete first finishes the step, which the
// batch leaves to each member.
func (s *Service) complete(ctx context.Context, m *Member) (*Hold, error) {
	switch o := m.outcome; {
	case o.kind == failed:
		return nil, o.err
	case o.kind == unchanged:
		return m.hold, nil
	case o.next.State == Held: // finished by the batch
		return &o.next, nil
	default:
		return &o.next, s.finishSteps(ctx, o.next)
	}
}

// batch is the moves of one event's seats that share one compare-and-set. The package
// comment describes the protocol.
type batch struct {
	svc     *Service
	eventID string
	members []*Member
	event   Event // the snapshot of the current attempt
}

// run counts the moves of all members and then inserts the new holds. It calls
// release as soon as the seats are written, so that the next batch need not wait for
// the holds.
func (b *batch) run(ctx context.Context, release func()) {
	err := cas.Retry(ctx, b.count, ErrStale)
	release()
	if err != nil {
		failAll(b.members, err)
		return
	}
	b.insertHolds(ctx)
}

// count makes one attempt to move the seats: it reads the event and then the holds,
// decides, and writes the counters and marks of the members that move. It returns
// ErrStale if the event was written since it was read. Nothing has happened after
// ErrStale and errGone; after any other error the result is unknown.
func (b *batch) count(ctx context.Context) error {
	if err := b.readEvent(ctx); err != nil {
		return err
	}
	if err := b.readHolds(ctx); err != nil {
		return err
	}
	w := b.decideAndClaim()
	if len(w.Set) == 0 {
		return nil
	}
	return b.svc.writeMoves(ctx, b.event, w)
}

// readEvent takes a new snapshot of the event.
func (b *batch) readEvent(ctx context.Context) error {
	e, err := b.svc.events.GetEvent(ctx, b.eventID)
	switch {
	case errors.Is(err, ErrNoEvent), err == nil && e.Status == Deleted:
		return errGone
	case err != nil:
		return fmt.Errorf("read event %s: %w", b.eventID, err)
	}
	b.event = e
	return nil
}

// readHolds reads the holds of the members and starts a new attempt of each. It first
// finishes the steps of these holds that the snapshot marks, if they lag behind.
func (b *batch) readHolds(ctx context.Context) error {
	// The cache must be asked before the holds are read. Another request may finish a
	// step in between; the cache would then know the step, but the hold would still be
	// as it was before.
	unfinished := b.unfinishedMarks()
	holds, err := b.getHolds(ctx)
	if err != nil {
		return err
	}
	lagging := slices.DeleteFunc(unfinished, func(mark Hold) bool {
		return holds[mark.ID].State.order() >= mark.State.order() && !mark.owesEntry()
	})
	if len(lagging) > 0 {
		if err := b.svc.finishSteps(ctx, lagging...); err != nil {
			return err
		}
		if holds, err = b.getHolds(ctx); err != nil {
			return err
		}
	}
	for _, m := range b.members {
		m.attempt = attempt{event: b.event}
		if h, ok := holds[m.holdID]; ok {
			m.hold = &h
		}
	}
	return nil
}

// unfinishedMarks returns the marks of the members' holds whose steps this process
// does not know to be finished.
func (b *batch) unfinishedMarks() []Hold {
	var marks []Hold
	for _, m := range b.members {
		if mark, ok := b.event.Seats.Marks[m.holdID]; ok && !b.svc.steps.has(b.eventID, mark) {
			marks = append(marks, mark)
		}
	}
	return marks
}

func (b *batch) getHolds(ctx context.Context) (map[string]Hold, error) {
	ids := make([]string, len(b.members))
	for i, m := range b.members {
		ids[i] = m.holdID
	}
	holds, err := b.svc.holds.GetHolds(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read holds of event %s: %w", b.eventID, err)
	}
	return holds, nil
}

// decideAndClaim decides for all members and claims the limit entries that the
// decisions require. A denied claim frees seats for the members behind it, so it then
// decides again. It ends because a member claims at most once in an attempt.
func (b *batch) decideAndClaim() SeatsWrite {
	for {
		w := b.decide(b.svc.now())
		pending := b.pendingClaims()
		if len(pending) == 0 {
			return w
		}
		b.claimEntries(pending)
	}
}

// decide sets the outcome of each member and returns the write that carries the moves.
// A member sees the counters as the members before it leave them.
func (b *batch) decide(now time.Time) SeatsWrite {
	w := b.event.Seats.NewWrite(b.eventID)
	for _, m := range b.members {
		e := b.event
		e.Seats = w.counters(e.Seats)
		m.outcome = m.decideOn(e, now)
		if m.outcome.kind != moved {
			continue
		}
		if err := w.Add(m.move()); err != nil {
			m.outcome = failWith(err)
		}
	}
	return w
}

// decideOn returns the outcome of the member for a snapshot of the event.
func (m *Member) decideOn(e Event, now time.Time) outcome {
	if m.claim == claimDenied {
		return failWith(m.claimErr)
	}
	o := m.decide(e, m.hold, now)
	if o.kind == moved && m.entry == entrySeen {
		o.next.Limited = true
	}
	return o
}

// move returns the move of the seats that the member's outcome requires.
func (m *Member) move() Move {
	if m.hold == nil {
		return Move{To: m.outcome.next}
	}
	return Move{From: m.hold.State, To: m.outcome.next}
}

// pendingClaims returns the members that must claim an entry before their seats move.
func (b *batch) pendingClaims() []*Member {
	if b.event.MaxPerUser == nil {
		return nil
	}
	var pending []*Member
	for _, m := range b.members {
		if m.outcome.kind == moved && m.isLimited && m.claim == unclaimed {
			pending = append(pending, m)
		}
	}
	return pending
}

// claimEntries makes the claims of all members concurrently, each in the context of
// the member's own request.
func (b *batch) claimEntries(members []*Member) {
	claim := func(m *Member) {
		hasEntry, err := b.svc.claimEntry(m.ctx, b.event, m.outcome.next)
		m.recordClaim(hasEntry, err)
	}
	var others sync.WaitGroup
	for _, m := range members[1:] {
		others.Go(func() { claim(m) })
	}
	claim(members[0])
	others.Wait()
}

// recordClaim takes over the result of a claim; see Service.claimEntry.
func (m *Member) recordClaim(hasEntry bool, err error) {
	switch {
	case hasEntry:
		m.entry = entrySeen
	case mayHaveClaimed(err):
		m.entry = max(m.entry, entryPossible)
	}
	m.claim, m.claimErr = claimGranted, err
	if err != nil {
		m.claim = claimDenied
	}
}

// insertHolds finishes the steps of all new holds of the batch in one write.
func (b *batch) insertHolds(ctx context.Context) {
	var members []*Member
	var marks []Hold
	for _, m := range b.members {
		if m.outcome.kind == moved && m.outcome.next.State == Held {
			members, marks = append(members, m), append(marks, m.outcome.next)
		}
	}
	if err := b.svc.finishSteps(ctx, marks...); err != nil {
		failAll(members, err)
	}
}

func failAll(members []*Member, err error) {
	for _, m := range members {
		m.outcome = failWith(err)
	}
}
