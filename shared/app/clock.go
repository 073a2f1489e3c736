package app

import (
	"context"
	"crypto/rand"
	"time"
)

// Clock is the machine's.
type Clock struct{}

// Now is the time.
func (Clock) Now() time.Time { return time.Now() }

// Sleep waits, for as long as ctx does not end.
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

// IDs are random, of more than 128 bits.
type IDs struct{}

// NewID returns one that nobody has.
func (IDs) NewID() string { return rand.Text() }
