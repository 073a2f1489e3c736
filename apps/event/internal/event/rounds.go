package event

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// maxShared is how many moves share a write at most: it bounds the document,
	// which carries the marks of two rounds at once, and the time of a round.
	maxShared = 32
	// roundFor bounds a round that several share, since it does not end with any of
	// their requests.
	roundFor = 5 * time.Second
	// claimWithin bounds the claims that a round waits for, so that one that hangs
	// takes the time of its round from nobody.
	claimWithin = 2 * time.Second
)

// errNoRound is what a move ends with that nobody brought to an end.
var errNoRound = errors.New("the round of this move broke off")

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

	err  error           // how it ended
	ctx  context.Context //nolint:containedctx // of the request, while move runs
	wake chan []*mover   // the round that it is to lead; nil when it is through
}

// rounds lets the moves of one event that come together share the reads and the
// write of one of them, the leader. Each is in one round; while that runs, those
// who come wait, and make the next. Nobody waits for others to come.
//
// It saves work only: that rounds of several processes never count a seat twice
// is the doing of the compare-and-set.
type rounds struct {
	mu      sync.Mutex
	waiting map[string][]*mover // by event; there is an entry while a round runs
}

// join returns the round that m is to lead. It returns nil when another has led
// one with m in it, or m gave up first, with its error.
func (r *rounds) join(eventID string, m *mover) []*mover {
	if !r.enter(eventID, m) {
		return []*mover{m}
	}
	select {
	case round := <-m.wake:
		return round
	case <-m.ctx.Done():
	}
	if r.leave(eventID, m) {
		m.err = m.ctx.Err()
		return nil
	}
	return <-m.wake // it is in a round already, and that ends soon
}

// enter lets m wait, if a round runs.
func (r *rounds) enter(eventID string, m *mover) (waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting, runs := r.waiting[eventID]
	if runs {
		m.wake = make(chan []*mover, 1)
		waiting = append(waiting, m)
	}
	if r.waiting == nil {
		r.waiting = map[string][]*mover{}
	}
	r.waiting[eventID] = waiting
	return runs
}

// leave takes m out again. It reports false when m waits no more.
func (r *rounds) leave(eventID string, m *mover) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting[eventID]
	at := slices.Index(waiting, m)
	if at < 0 {
		return false
	}
	r.waiting[eventID] = slices.Delete(waiting, at, at+1)
	return true
}

// next ends a round: who waits makes the next one, each hold once.
func (r *rounds) next(eventID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var round, later []*mover
	holds := map[string]bool{}
	for _, m := range r.waiting[eventID] {
		if len(round) < maxShared && !holds[m.holdID] {
			holds[m.holdID] = true
			round = append(round, m)
		} else {
			later = append(later, m)
		}
	}
	if len(round) == 0 {
		delete(r.waiting, eventID)
		return
	}
	r.waiting[eventID] = later
	round[0].wake <- round
}
