// Package cas retries compare-and-set operations that lost a race.
//
// A compare-and-set operation reads a record, decides, and writes only if the record
// has not changed since it was read. If it has changed, the write is stale, and the
// operation starts again with a new read. The losers of a race back off with full
// jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so
// that they do not collide again.
package cas

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"boxoffice/shared/apperr"
)

const (
	// MaxAttempts limits how often one operation is attempted. Each stale attempt
	// means that another operation on the same record succeeded.
	MaxAttempts = 64

	// immediate is the number of attempts that start without a pause. The second one
	// needs none, because most races have one winner and one loser.
	immediate  = 2
	minBackoff = time.Millisecond
	maxBackoff = 50 * time.Millisecond

	// retryAfter is how long a client should wait after Retry has given up.
	retryAfter = time.Second
)

// Retry calls attempt until it returns nil or an error that matches none of stale,
// and returns that result. It pauses between attempts and returns an error that
// wraps ctx.Err() if ctx ends during a pause. After MaxAttempts stale attempts it
// returns apperr.Overloaded: the record is too busy, and nothing was written.
func Retry(ctx context.Context, attempt func(ctx context.Context) error, stale ...error) error {
	for n := range MaxAttempts {
		if err := pause(ctx, n); err != nil {
			return fmt.Errorf("retry a stale write: %w", err)
		}
		if err := attempt(ctx); !isStale(err, stale) {
			return err
		}
	}
	return apperr.Overloaded(retryAfter)
}

func isStale(err error, stale []error) bool {
	for _, s := range stale {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// pause waits before the n-th attempt, counted from 0.
func pause(ctx context.Context, n int) error {
	if n < immediate {
		return nil
	}
	limit := min(minBackoff<<min(n-immediate, 16), maxBackoff)
	timer := time.NewTimer(rand.N(limit)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
