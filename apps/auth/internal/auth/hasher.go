package auth

import (
	"context"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
)

// hashRetryAfter is the Retry-After of requests that find the queue full. Two cores
// need about that long to work off a full queue of the default size.
const hashRetryAfter = 2 * time.Second

// Hasher hashes passwords. It limits how many hashes run at once, so that log-ins do
// not starve the rest of the machine, and how many requests wait to be hashed.
type Hasher struct {
	params  HashParams
	dummy   phc           // verified in place of the hash of an account that does not exist
	queue   chan struct{} // one element for each request that waits or runs
	running chan struct{} // one element for each hash that runs
}

// NewHasher returns a Hasher that runs at most workers hashes at once and lets at most
// queue more requests wait.
func NewHasher(params HashParams, workers, queue int) (*Hasher, error) {
	dummy, err := parsePHC(hashPassword("", params))
	if err != nil {
		return nil, fmt.Errorf("hasher: %w", err)
	}
	return &Hasher{
		params: params, dummy: dummy,
		queue: make(chan struct{}, workers+queue), running: make(chan struct{}, workers),
	}, nil
}

// Hash returns the hash of a password in PHC string format. It returns
// apperr.Overloaded if the queue is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	var hash string
	err := h.run(ctx, func() { hash = hashPassword(normalPassword(password), h.params) })
	return hash, err
}

// Matches reports whether hash, in PHC string format, is a hash of the password, and
// whether its parameters differ from those of new hashes. An empty hash matches no
// password and takes as long as a real one. If the queue is full, Matches does not
// verify the password and returns apperr.Overloaded.
func (h *Hasher) Matches(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	parsed, known := h.dummy, hash != ""
	if known {
		if parsed, err = parsePHC(hash); err != nil {
			return false, false, err
		}
	}
	err = h.run(ctx, func() { ok = parsed.matches(normalPassword(password)) && known })
	return ok, parsed.HashParams != h.params || len(parsed.key) != keyLength, err
}

// run waits until another hash may run and then calls fn. It returns
// apperr.Overloaded if the queue is full, and an error that wraps ctx.Err() if ctx ends
// first.
func (h *Hasher) run(ctx context.Context, fn func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return apperr.Overloaded(hashRetryAfter)
	}
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return fmt.Errorf("wait to hash: %w", ctx.Err())
	}
	fn()
	return nil
}
