package invariant

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// Ledger is what clients asked and were answered. It is safe for concurrent use;
// attempts under one key are noted in the order in which they were made.
type Ledger struct {
	mu       sync.Mutex
	attempts []Attempt
	changes  []Change
}

// Attempt is one request for a booking.
type Attempt struct {
	UserID, EventID string
	Key             string // empty for none
	Quantity        int64
	Status          int    // of the answer; 0 for none
	BookingID       string // of a 201
}

// Change is one request to confirm or cancel a booking.
type Change struct {
	BookingID string
	Cancel    bool // else a confirm
	Status    int  // of the answer; 0 for none
}

// Booked notes an attempt after its answer, or after there was none.
func (l *Ledger) Booked(a Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, a)
}

// Changed notes a change after its answer, or after there was none.
func (l *Ledger) Changed(c Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, c)
}

// Counts are how many attempts were answered with which status.
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

// definite reports whether a status says that nothing was done. No answer, and a
// status of 500 or more, leaves it open.
func definite(status int) bool { return status >= 400 && status < 500 }

// keyedID is the id of the booking that a user makes under a key, as the booking
// app computes it.
func keyedID(userID, key string) string {
	sum := sha256.Sum256([]byte(userID + "\n" + key))
	return hex.EncodeToString(sum[:16])
}
