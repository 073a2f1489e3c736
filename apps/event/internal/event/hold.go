package event

import (
	"fmt"
	"time"

	"boxoffice/shared/contract"
)

// HoldState is the state of a hold. It only moves forward, in the order of the
// constants.
type HoldState string

// The states of a hold.
const (
	Held     HoldState = "held"     // its seats are counted as held
	Sold     HoldState = "sold"     // its seats are counted as sold
	Released HoldState = "released" // its seats are not counted and never will be again
)

// ParseHoldState returns the state with the given name.
func ParseHoldState(s string) (HoldState, error) {
	switch h := HoldState(s); h {
	case Held, Sold, Released:
		return h, nil
	}
	return "", fmt.Errorf("unknown hold state %q", s)
}

// order returns the position of the state in the life of a hold. It is 0 for the empty
// state, which stands for a hold that does not exist.
func (s HoldState) order() int {
	switch s {
	case Held:
		return 1
	case Sold:
		return 2
	case Released:
		return 3
	}
	return 0
}

// Hold is a reservation of an event's seats for one booking. A tombstone is a Hold that was
// released without ever having been held, so that a late reserve of it is refused.
type Hold struct {
	ID       string
	EventID  string
	UserID   string
	Quantity int64
	// UnitPrice is the price of a ticket at the time of the reserve. It is the zero
	// Money in a tombstone.
	UnitPrice contract.Money
	State     HoldState
	// Limited reports whether the hold claimed an entry in the user's limit, which its
	// release gives back. A tombstone may be Limited without an entry; giving back an
	// entry that does not exist is harmless.
	Limited bool
	// ExpiresAt is when the booking expires unless it is confirmed. It may be zero in a
	// tombstone.
	ExpiresAt time.Time
	// MovedAt is when the hold reached its state.
	MovedAt time.Time
	// SettleAt is when a sweep asks the booking app about the hold. It is zero unless
	// the hold is in the state Held.
	SettleAt time.Time
}

// holdPurgeAfter is the minimum retention of a released hold. It must exceed the
// longest time for which a process can be suspended and then continue with a move.
const holdPurgeAfter = 24 * time.Hour

// PurgeAt returns the time from which the store may drop the hold. It reports false if
// the hold must be kept.
func (h Hold) PurgeAt() (time.Time, bool) {
	return h.MovedAt.Add(holdPurgeAfter), h.State == Released
}
