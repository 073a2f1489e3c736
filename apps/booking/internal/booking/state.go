package booking

import (
	"fmt"
	"slices"

	"boxoffice/shared/contract/bookingapi"
)

// State is the state of a booking record.
type State string

// The states of a record. A Refused record is not a booking: it only stores the
// first hold number that is still valid.
const (
	Pending   State = bookingapi.StatusPending
	Confirmed State = bookingapi.StatusConfirmed
	Cancelled State = bookingapi.StatusCancelled
	Expired   State = bookingapi.StatusExpired
	Refused   State = "refused"
)

// ParseState returns the state with this name. It accepts only the states that
// clients can see.
func ParseState(s string) (State, error) {
	switch state := State(s); state {
	case Pending, Confirmed, Cancelled, Expired:
		return state, nil
	case Refused:
	}
	return "", fmt.Errorf("unknown booking status %q", s)
}

// transition is a permitted change of a record's state.
type transition struct {
	from, to State
	fact     string // type of the fact that announces it; empty if none does
}

// transitions returns the state machine. State "" stands for no record. A
// transition from a state to itself only raises the hold number.
func transitions() []transition {
	return []transition{
		{"", Pending, bookingapi.FactCreated},
		{"", Refused, ""},
		{Refused, Refused, ""},
		{Refused, Pending, bookingapi.FactCreated},
		{Pending, Confirmed, bookingapi.FactConfirmed},
		{Pending, Cancelled, bookingapi.FactCancelled},
		{Pending, Expired, bookingapi.FactExpired},
		{Confirmed, Cancelled, bookingapi.FactCancelled},
		{Expired, Expired, ""},
		{Expired, Confirmed, bookingapi.FactConfirmed},
	}
}

// factType returns the type of the fact that announces a transition, or "" if the
// transition is not announced. It returns an error if the transition is not
// permitted.
func factType(from, to State) (string, error) {
	table := transitions()
	i := slices.IndexFunc(table, func(t transition) bool { return t.from == from && t.to == to })
	if i < 0 {
		return "", fmt.Errorf("no transition from %q to %q", from, to)
	}
	return table[i].fact, nil
}
