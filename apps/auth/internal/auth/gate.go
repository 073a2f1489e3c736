package auth

import (
	"context"
	"fmt"
	"sync"
)

// atOnce is how many log-ins of one account from one address are under way at a
// time. Each counts as a failure until it is known to be right, so that more of
// them, all right, would lock the pair.
const atOnce = 2

// gate lets a few through at a time for each key.
type gate struct {
	mu    sync.Mutex
	doors map[string]*door
}

type door struct {
	users int // inside or waiting
	slots chan struct{}
}

func newGate() *gate { return &gate{doors: map[string]*door{}} }

// enter waits until there is room and returns what is called on leaving.
func (g *gate) enter(ctx context.Context, key string) (leave func(), err error) {
	g.mu.Lock()
	d := g.doors[key]
	if d == nil {
		d = &door{slots: make(chan struct{}, atOnce)}
		g.doors[key] = d
	}
	d.users++
	g.mu.Unlock()
	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if d.users--; d.users == 0 {
			delete(g.doors, key)
		}
	}
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots; done() }, nil
	case <-ctx.Done():
		done()
		return nil, fmt.Errorf("wait to log in: %w", ctx.Err())
	}
}
