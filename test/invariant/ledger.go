package invariant

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// Ledger records the requests of clients and the replies that they received. It is
// safe for concurrent use. Attempts under one key must be recorded in the order in
// which they were made.
type Ledger struct {
	mu       sync.Mutex
	attempts []Attempt
	changes  []Change
}

// Attempt is one request for a booking.
type Attempt struct {
	UserID, EventID string
	Key             string // the idempotency key; empty if there was none
	Quantity        int64
	Status          int    // of the reply; 0 if there was none
	BookingID       string // in a reply with status 201
}

// Change is one request to confirm or cancel a booking.
type Change struct {
	BookingID string
	Cancel    bool // false for a confirm
	Status    int  // of the reply; 0 if there was none
}

// RecordAttempt records an attempt after its reply, or after its failure.
func (l *Ledger) RecordAttempt(a Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, a)
}

// RecordChange records a change after its reply, or after its failure.
func (l *Ledger) RecordChange(c Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, c)
}

// Counts returns the number of attempts by status.
func (l *Ledger) Counts() map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[int]int{}
	for _, a := range l.attempts {
		n[a.Status]++
	}
	return n
}

func (l *Ledger) entries() ([]Attempt, []Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attempts), slices.Clone(l.changes)
}

// isDefinite reports whether a status means that nothing was done. After a missing reply
// (0) or a status of 500 or more, the outcome is unknown.
func isDefinite(status int) bool { return status >= 400 && status < 500 }

// keyedID returns the id of the booking that a user makes under an idempotency key. It
// computes the id in the same way as the booking app.
func keyedID(userID, key string) string {
	sum := sha256.Sum256([]byte(userID + "\n" + key))
	return hex.EncodeToString(sum[:16])
}
