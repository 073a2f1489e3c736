// Package daprlock is the apps' locks over Dapr's lock API. They keep work from
// being done twice at once; nothing that must be right rests on one.
package daprlock

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/dapr/go-sdk/client"
)

const (
	tryFor    = 100 * time.Millisecond
	tryEvery  = 10 * time.Millisecond
	heldFor   = 5 // seconds, then the lock ends by itself
	unlockFor = 200 * time.Millisecond
)

// Locker takes locks from one lock store. It is safe for concurrent use.
type Locker struct {
	dapr  client.Client
	store string
}

// New returns the locks of the lock store of that name.
func New(dapr client.Client, store string) *Locker { return &Locker{dapr: dapr, store: store} }

// Lock tries for a tenth of a second and returns, with the lock or without it;
// when the store does not answer it does not even try again. The caller calls
// unlock when he is done.
func (l *Locker) Lock(ctx context.Context, name string) (unlock func()) {
	owner := rand.Text()
	if !l.try(ctx, name, owner) {
		return func() {}
	}
	return func() {
		// Also when the caller has left: else others would wait for nothing.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockFor)
		defer cancel()
		// Should it fail, the lock ends by itself.
		_, _ = l.dapr.UnlockAlpha1(ctx, l.store, &client.UnlockRequest{ResourceID: name, LockOwner: owner})
	}
}

func (l *Locker) try(ctx context.Context, name, owner string) bool {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		res, err := l.dapr.TryLockAlpha1(ctx, l.store, &client.LockRequest{ResourceID: name, LockOwner: owner, ExpiryInSeconds: heldFor})
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
