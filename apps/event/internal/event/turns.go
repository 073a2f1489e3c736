package event

import (
	"context"
	"sync"
	"time"
)

// Turns is a Locker inside one process: who asks for the same name goes one
// after the other, in the order of asking as far as the runtime keeps it. It is
// safe for concurrent use.
type Turns struct {
	wait  time.Duration
	mu    sync.Mutex
	names map[string]*turn
}

type turn struct {
	place chan struct{} // full while somebody has the turn
	users int           // who has it or waits; at 0 the name is forgotten
}

// NewTurns returns turns that are waited for so long at most; then the work goes
// on without.
func NewTurns(wait time.Duration) *Turns {
	return &Turns{wait: wait, names: map[string]*turn{}}
}

var _ Locker = (*Turns)(nil)

// Lock implements Locker.
func (t *Turns) Lock(ctx context.Context, name string) (unlock func()) {
	mine := t.join(name)
	select {
	case mine.place <- struct{}{}:
		return func() { <-mine.place; t.leave(name, mine) }
	default:
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case mine.place <- struct{}{}:
		return func() { <-mine.place; t.leave(name, mine) }
	case <-timer.C:
	case <-ctx.Done():
	}
	t.leave(name, mine)
	return func() {}
}

func (t *Turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.names[name]
	if mine == nil {
		mine = &turn{place: make(chan struct{}, 1)}
		t.names[name] = mine
	}
	mine.users++
	return mine
}

func (t *Turns) leave(name string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(t.names, name)
	}
}
