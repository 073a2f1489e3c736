package auth

import (
	"context"
	"fmt"
	"sync"
)

// maxConcurrentLogIns limits the log-ins of one account from one address that run
// at the same time in this process. An attempt counts as a failure until its password
// turns out to be correct. Without this limit, concurrent log-ins with the correct
// password could lock the address out of the account.
const maxConcurrentLogIns = 2

// keyedSemaphore is a counting semaphore for each key. It keeps no memory for keys
// that are not in use.
type keyedSemaphore struct {
	mu   sync.Mutex
	keys map[string]*semaphore
}

type semaphore struct {
	users int // holders and waiters; guarded by keyedSemaphore.mu
	slots chan struct{}
}

func newKeyedSemaphore() *keyedSemaphore { return &keyedSemaphore{keys: map[string]*semaphore{}} }

// acquire waits for a slot of key and returns the function that releases it. It
// returns an error that wraps ctx.Err() if ctx ends first.
func (k *keyedSemaphore) acquire(ctx context.Context, key string) (release func(), err error) {
	k.mu.Lock()
	s := k.keys[key]
	if s == nil {
		s = &semaphore{slots: make(chan struct{}, maxConcurrentLogIns)}
		k.keys[key] = s
	}
	s.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(k.keys, key)
		}
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for a concurrent log-in: %w", ctx.Err())
	}
}
