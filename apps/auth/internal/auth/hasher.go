package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"boxoffice/shared/apperr"
)

// hashRetryAfter is the Retry-After of requests that find the queue full. Two cores
// need about that long to work off a full queue of the default size.
const hashRetryAfter = 3 * time.Second

// maxShare is the part of the queue, one in maxShare, that one client may take.
const maxShare = 4

// Hasher hashes passwords. It limits how many hashes run at once, so that log-ins do
// not starve the rest of the machine, and how many requests wait to be hashed, in total
// and for one client.
type Hasher struct {
	params   HashParams
	dummy    phc           // verified in place of the hash of an account that does not exist
	capacity int           // requests that wait or run
	running  chan struct{} // one element for each hash that runs

	mu    sync.Mutex
	total int            // requests that wait or run
	of    map[string]int // those of each client; clients without any are absent
}

// NewHasher returns a Hasher that runs at most workers hashes at once and lets at most
// queue more requests wait. At most a quarter of all these, and at least one, may be
// requests of one client.
func NewHasher(params HashParams, workers, queue int) (*Hasher, error) {
	dummy, err := parsePHC(hashPassword("", params))
	if err != nil {
		return nil, fmt.Errorf("hasher: %w", err)
	}
	return &Hasher{
		params: params, dummy: dummy, capacity: workers + queue, running: make(chan struct{}, workers), of: map[string]int{},
	}, nil
}

// Hash returns the hash of a password in PHC string format. client identifies the client
// of the request. Hash returns apperr.Overloaded if the queue is full, or the client's
// share of it.
func (h *Hasher) Hash(ctx context.Context, client, password string) (string, error) {
	var hash string
	err := h.run(ctx, client, func() { hash = hashPassword(normalPassword(password), h.params) })
	return hash, err
}

// Matches reports whether hash, in PHC string format, is a hash of the password, and
// whether its parameters differ from those of new hashes. An empty hash matches no
// password and takes as long as a real one. If the queue is full, or the client's share of
// it, Matches does not verify the password and returns apperr.Overloaded.
func (h *Hasher) Matches(ctx context.Context, client, hash, password string) (ok, outdated bool, err error) {
	parsed, known := h.dummy, hash != ""
	if known {
		if parsed, err = parsePHC(hash); err != nil {
			return false, false, err
		}
	}
	err = h.run(ctx, client, func() { ok = parsed.matches(normalPassword(password)) && known })
	return ok, parsed.HashParams != h.params || len(parsed.key) != keyLength, err
}

// run waits until another hash may run and then calls fn. It returns
// apperr.Overloaded if the queue is full, and an error that wraps ctx.Err() if ctx ends
// first.
func (h *Hasher) run(ctx context.Context, client string, fn func()) error {
	if !h.enter(client) {
		return apperr.Overloaded(hashRetryAfter)
	}
	defer h.leave(client)
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return fmt.Errorf("wait to hash: %w", ctx.Err())
	}
	fn()
	return nil
}

// enter adds a request of a client to the queue. It returns false if there is no room.
func (h *Hasher) enter(client string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.total >= h.capacity || h.of[client] >= max(1, h.capacity/maxShare) {
		return false
	}
	h.total++
	h.of[client]++
	return true
}

func (h *Hasher) leave(client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.of[client]--; h.of[client] == 0 {
		delete(h.of, client)
	}
}
