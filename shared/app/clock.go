package app

import (
	"context"
	"crypto/rand"
	"time"
)

// Clock is the system clock.
type Clock struct{}

// Now returns the current time.
func (Clock) Now() time.Time { return time.Now() }

// Sleep waits for d. It returns ctx.Err() if ctx ends earlier.
func (Clock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// IDs generates random ids.
type IDs struct{}

// NewID returns an id with at least 128 bits of randomness.
func (IDs) NewID() string { return rand.Text() }
