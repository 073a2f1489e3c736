package cas_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"boxoffice/shared/apperr"
	"boxoffice/shared/cas"
)

var (
	errStale  = errors.New("stale")
	errExists = errors.New("exists")
)

func TestRetryStopsAtTheFirstResultThatIsNotStale(t *testing.T) {
	failed := errors.New("the store failed")
	for name, tt := range map[string]struct {
		results []error
		want    error
	}{
		"success at once":       {[]error{nil}, nil},
		"success after a race":  {[]error{fmt.Errorf("write: %w", errStale), errExists, errStale, nil}, nil},
		"failure after a race":  {[]error{errStale, failed}, failed},
		"failure is not a race": {[]error{failed}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := cas.Retry(t.Context(), func(context.Context) error { n++; return tt.results[n-1] }, errStale, errExists)
				if !errors.Is(err, tt.want) || n != len(tt.results) {
					t.Errorf("got %v after %d attempts, want %v after %d", err, n, tt.want, len(tt.results))
				}
			})
		})
	}
}

func TestRetryGivesUpWithOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := cas.Retry(t.Context(), func(context.Context) error { n++; return errStale }, errStale)
		if e := apperr.From(err); e.Code != apperr.Unavailable || e.Failure() || e.RetryAfter == 0 {
			t.Errorf("got %v, want a refusal with a Retry-After", err)
		}
		if n != cas.MaxAttempts {
			t.Errorf("got %d attempts, want %d", n, cas.MaxAttempts)
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := cas.Retry(ctx, func(context.Context) error {
			if n++; n == 5 {
				cancel()
			}
			return errStale
		}, errStale)
		if !errors.Is(err, context.Canceled) || n != 5 {
			t.Errorf("got %v after %d attempts, want the context's error after 5", err, n)
		}
	})
}

// Concurrent increments by compare-and-set must neither be lost nor starve.
func TestRetryCompletesEveryConcurrentWrite(t *testing.T) {
	var counter atomic.Int64
	const writers = 32
	errs := make(chan error, writers)
	for range writers {
		go func() {
			errs <- cas.Retry(t.Context(), func(context.Context) error {
				read := counter.Load()
				if !counter.CompareAndSwap(read, read+1) {
					return errStale
				}
				return nil
			}, errStale)
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := counter.Load(); got != writers {
		t.Errorf("got %d, want %d", got, writers)
	}
}
