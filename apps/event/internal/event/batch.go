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
	// maxBatch limits the members of a batch. It bounds the time that a batch takes,
	// and the marks that one write adds to the event's document.
	maxBatch = eventapi.MaxReserves
	// batchTimeout limits how long a batch that several requests share may run.
	batchTimeout = 5 * time.Second
)

// errGone is returned to every member of a batch if its event does not exist or was
// deleted.
var errGone = errors.New("the event is gone")

// decision returns the outcome of a member for a snapshot of the event. The snapshot's
// counters include the moves of the members before it in the batch. The hold was read
// after the event; it is nil if there is none.
//
// A decision must be a pure function. A batch calls it again for each snapshot that it
// reads, and again for the same snapshot after members have made claims.
type decision func(e Event, h *Hold, now time.Time) outcome

// outcomeKind is the kind of a member's outcome.
type outcomeKind int

const (
	undecided outcomeKind = iota
	unchanged             // the hold stays as it is
	moved                 // the hold's seats move with the batch's write
	failed                // the move is refused, or its result is unknown
)

// outcome is the result of a decision. The last one before the batch's write is the
// result of the member, unless the batch fails.
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
	claimDenied // refused, or failed: claimErr is the reason
)

// entryEvidence is how certain it is that a hold has an entry in its user's limit. The
// values are in ascending order.
type entryEvidence int

const (
	noEntry       entryEvidence = iota // no claim can have added one
	entryPossible                      // the result of a claim is unknown
	entrySeen                          // a claim added or found the entry
)

// Member is one hold in a batch of moves.
type Member struct {
	ctx    context.Context //nolint:containedctx // of the member's request; its claims use it
	holdID string
	decide decision
	cause  Cause // of a release
	// wasConfirmed reports whether a confirmed booking used the hold that is released.
	wasConfirmed bool
	// mustClaim reports whether the member must claim a limit entry before its seats
	// move, as reserves must. It has no effect if the event has no limit.
	mustClaim bool
	// entry never decreases. It is not part of the attempt, because an entry that was
	// claimed in one attempt must be given back if a later attempt refuses the hold.
	entry entryEvidence
	// isStored reports whether the batch has brought the hold's document to its new state.
	isStored bool
	// toLog are the log entries of the batch, if this member must log them.
	toLog []Entry

	attempt
}

// attempt is the state of a member in one attempt of its batch, that is, for one
// snapshot of the event.
type attempt struct {
	event    Event // the snapshot
	hold     *Hold // read after the snapshot; nil if there is none
	claim    claimState
	claimErr error
	outcome  outcome
}

// NewBatches returns a Batcher that coalesces moves. It calls follow for each request
// whose batch is led by another request, and started, unless it is nil, for each batch with
// its number of moves; see coalesce.Config.
func NewBatches(follow func(ctx, leader context.Context) (end func()), started func(ctx context.Context, moves int)) *coalesce.Group[*Member] {
	return coalesce.New(coalesce.Config[*Member]{
		MaxItems: maxBatch, Timeout: batchTimeout, Follow: follow, Started: started,
		Key: func(m *Member) string { return m.holdID },
	})
}

// joinBatch moves the seats of distinct holds of one event in one batch. It returns
// when the batch has ended. The caller then calls complete for each member, which
// returns the member's result.
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
// none. It returns errGone if there is no event, or the error with which the member's
// decision refused the move. After any other error the result is unknown.
//
// If the member sold or released the hold, complete first finishes the step, as far as the
// batch has not done so.
func (s *Service) complete(ctx context.Context, m *Member) (*Hold, error) {
	switch o := m.outcome; {
	case o.kind == failed:
		return nil, o.err
	case o.kind == unchanged:
		return m.hold, nil
	case o.next.State == Held: // finished by the batch
		return &o.next, nil
	case m.isStored:
		return &o.next, s.finishEntry(ctx, o.next)
	case len(m.toLog) == 0:
		return &o.next, s.finishSteps(ctx, o.next)
	default:
		var err error
		s.both(
			func() { err = s.finishSteps(ctx, o.next) },
			func() { s.tryLogEntries(ctx, o.next.EventID, m.toLog) },
		)
		return &o.next, err
	}
}

// batch is a set of moves of one event's seats that share one compare-and-set. The package
// comment describes the protocol and its phases.
type batch struct {
	svc     *Service
	eventID string
	members []*Member
	event   Event   // the snapshot of the current attempt
	written []Entry // the log entries of the batch's write
}

// run moves the seats of all members. Then it inserts the new holds and logs the entries of
// the write concurrently. It calls release as soon as the seats are written, so that the next
// batch does not wait for the rest.
func (b *batch) run(ctx context.Context, release func()) {
	err := cas.Retry(ctx, b.tryMove, ErrStale)
	release()
	if err != nil {
		failAll(b.members, err)
		return
	}
	b.finish(ctx)
}

// finish stores the holds that moved together, and logs the entries of the batch at the same
// time. The entries thus never delay a response by more than the finishing of the steps does.
// If only one hold was sold or released, its member does both in complete, in its own time.
func (b *batch) finish(ctx context.Context) {
	members := slices.DeleteFunc(slices.Clone(b.members), func(m *Member) bool { return m.outcome.kind != moved })
	switch {
	case len(members) == 0:
	case len(members) == 1 && members[0].outcome.next.State != Held:
		members[0].toLog = b.written
	default:
		b.svc.both(func() { b.storeHolds(ctx, members) }, func() { b.svc.tryLogEntries(ctx, b.eventID, b.written) })
	}
}

// storeHolds brings the documents of all holds that moved to their new states. The steps of
// new holds are finished then.
func (b *batch) storeHolds(ctx context.Context, members []*Member) {
	marks := make([]Hold, len(members))
	for i, m := range members {
		marks[i] = m.outcome.next
	}
	if err := b.svc.storeHolds(ctx, marks); err != nil {
		failAll(members, err)
		return
	}
	for _, m := range members {
		m.isStored = true
		if m.outcome.next.State == Held {
			b.svc.steps.add(m.outcome.next)
		}
	}
}

// tryMove makes one attempt at phases 1 to 4: it reads the event and then the holds,
// decides, and writes the counters and marks of the members that move. It returns
// ErrStale if the event was written since it was read. After ErrStale and errGone no
// seats have moved; after any other error the result is unknown.
func (b *batch) tryMove(ctx context.Context) error {
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
	if err := b.svc.writeMoves(ctx, b.event, w); err != nil {
		return err
	}
	b.written = w.NewEntries()
	return nil
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

// readHolds reads the holds of the members and starts a new attempt of each. If a hold
// lags behind its mark in the snapshot, readHolds first finishes the step.
func (b *batch) readHolds(ctx context.Context) error {
	// Check the cache before reading the holds. In the opposite order, another request
	// could finish a step after the hold was read and before the cache was checked. The
	// step would then count as finished, but the hold that was read would still be in its
	// earlier state.
	unfinished := b.unfinishedMarks()
	holds, err := b.getHolds(ctx)
	if err != nil {
		return err
	}
	// A hold in the state of its mark does not show whether its limit entry has been
	// given back, so a step that must give one back is always finished again.
	lagging := slices.DeleteFunc(unfinished, func(mark Hold) bool {
		return holds[mark.ID].State.order() >= mark.State.order() && !mark.mustGiveBackEntry()
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

// unfinishedMarks returns the marks of the members' holds, except those whose steps are
// in the cache of finished steps.
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
// decisions require. After claims it decides again, because a denied claim frees seats
// for the members behind it. The loop ends because a member claims at most once in an
// attempt.
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
// Each member's decision sees the counters as the members before it leave them.
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
	move := Move{To: m.outcome.next, Cause: m.cause, WasConfirmed: m.wasConfirmed, TraceID: traceID(m.ctx)}
	if m.hold != nil {
		move.From = m.hold.State
	}
	return move
}

// pendingClaims returns the members that must claim an entry before their seats move.
func (b *batch) pendingClaims() []*Member {
	if b.event.MaxPerUser == nil {
		return nil
	}
	var pending []*Member
	for _, m := range b.members {
		if m.outcome.kind == moved && m.mustClaim && m.claim == unclaimed {
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

// recordClaim records the result of a claim; see Service.claimEntry.
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

func failAll(members []*Member, err error) {
	for _, m := range members {
		m.outcome = failWith(err)
	}
}
