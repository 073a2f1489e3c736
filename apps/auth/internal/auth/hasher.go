package auth

import (
	"context"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
)

// busyFor is what a caller is told to wait when the queue is full: a few hashes'
// time.
const busyFor = 2 * time.Second

// Hasher hashes passwords, a few at a time, so that log-ins never starve the
// rest of the machine. More wait, up to a bound; the others are turned away.
type Hasher struct {
	params HashParams
	decoy  phc
	places chan struct{} // held while waiting and while at work
	work   chan struct{} // held while at work
}

// NewHasher returns a hasher that does so many hashes at a time, and lets so many
// more wait.
func NewHasher(params HashParams, workers, queue int) (*Hasher, error) {
	decoy, err := parsePHC(hashPassword("", params))
	if err != nil {
		return nil, fmt.Errorf("hasher: %w", err)
	}
	return &Hasher{
		params: params, decoy: decoy,
		places: make(chan struct{}, workers+queue), work: make(chan struct{}, workers),
	}, nil
}

// Hash returns the PHC string of a password. It returns apperr.Overloaded when
// the queue is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	var hash string
	err := h.do(ctx, func() { hash = hashPassword(normalPassword(password), h.params) })
	return hash, err
}

// Matches reports whether a PHC string is that of a password, and whether it
// should be made anew since the parameters are others now. An empty string
// matches nothing, and costs the same. It returns apperr.Overloaded when the
// queue is full, before the password was looked at.
func (h *Hasher) Matches(ctx context.Context, hash, password string) (ok, old bool, err error) {
	parsed, known := h.decoy, hash != ""
	if known {
		if parsed, err = parsePHC(hash); err != nil {
			return false, false, err
		}
	}
	err = h.do(ctx, func() { ok = parsed.matches(normalPassword(password)) && known })
	return ok, parsed.HashParams != h.params || len(parsed.key) != keyLength, err
}

func (h *Hasher) do(ctx context.Context, fn func()) error {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		return apperr.Overloaded(busyFor)
	}
	select {
	case h.work <- struct{}{}:
		defer func() { <-h.work }()
	case <-ctx.Done():
		return fmt.Errorf("wait to hash: %w", ctx.Err())
	}
	fn()
	return nil
}
