// Package daprlock provides best-effort locks through Dapr's lock API. A lock avoids
// duplicate work. Correctness must never depend on it.
package daprlock

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/dapr/go-sdk/client"
)

const (
	lockTimeout   = 100 * time.Millisecond
	retryInterval = 10 * time.Millisecond
	leaseSeconds  = 5 // after this time the lock store releases the lock itself
	unlockTimeout = 200 * time.Millisecond
)

// Locker takes locks in one lock store. It is safe for concurrent use.
type Locker struct {
	dapr  client.Client
	store string
}

// New returns a Locker for the lock store component with the given name.
func New(dapr client.Client, store string) *Locker { return &Locker{dapr: dapr, store: store} }

// Lock tries to take the lock with the given name. After 100 ms, or if the store returns
// an error, it gives up and returns without the lock. The caller proceeds in either case,
// and must call unlock when its work is done.
func (l *Locker) Lock(ctx context.Context, name string) (unlock func()) {
	owner := rand.Text()
	if !l.tryLock(ctx, name, owner) {
		return func() {}
	}
	return func() {
		// Unlock even if the request has ended, so that no other caller waits in vain.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		// If this fails, the lease ends within leaseSeconds.
		_, _ = l.dapr.UnlockAlpha1(ctx, l.store, &client.UnlockRequest{ResourceID: name, LockOwner: owner})
	}
}

// tryLock reports whether it took the lock.
func (l *Locker) tryLock(ctx context.Context, name, owner string) bool {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		res, err := l.dapr.TryLockAlpha1(ctx, l.store, &client.LockRequest{ResourceID: name, LockOwner: owner, ExpiryInSeconds: leaseSeconds})
		if err != nil {
			return false
		}
		if res.Success {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
