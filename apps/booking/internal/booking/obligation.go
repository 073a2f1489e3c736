package booking

import (
	"slices"
	"time"

	"boxoffice/shared/contract/eventapi"
)

// Obligation is a move of a hold that a booking owes the event app: to sell the hold or to
// release it. The write that creates the obligation also stores it in the booking's record.
// It stays there until the event app has acknowledged the move, so that no message is needed
// for the seats to be counted right in the end.
type Obligation struct {
	HoldID string
	// Cause is eventapi.CauseSold for a sale. For a release it is eventapi.CauseExpired or
	// eventapi.CauseCancelled.
	Cause string
}

func (o Obligation) isSale() bool { return o.Cause == eventapi.CauseSold }

// maxObligations is the maximum number of obligations of a booking. A booking that expired
// owes the release of its first hold. A late confirm adds the sale of its second hold, which
// a cancellation replaces by its release. A booking never has a third hold that counts.
const maxObligations = 2

// Obligations are the obligations of a booking, each about a different hold. The unused
// places are at the end and hold the zero Obligation.
type Obligations [maxObligations]Obligation

// List returns the obligations.
func (o Obligations) List() []Obligation {
	n := slices.Index(o[:], Obligation{})
	if n < 0 {
		n = len(o)
	}
	return o[:n]
}

// ObligationsOf is the inverse of List. It panics if there are more than maxObligations.
func ObligationsOf(list []Obligation) Obligations {
	var o Obligations
	if copy(o[:], list) < len(list) {
		panic("booking: too many obligations")
	}
	return o
}

// with returns the obligations with one, which replaces any other about the same hold.
func (o Obligations) with(one Obligation) Obligations {
	return ObligationsOf(append(o.without(func(other Obligation) bool { return other.HoldID == one.HoldID }).List(), one))
}

// without returns the obligations for which isDone returns false.
func (o Obligations) without(isDone func(Obligation) bool) Obligations {
	return ObligationsOf(slices.DeleteFunc(slices.Clone(o.List()), isDone))
}

// release returns the obligation to release the given hold. It reports whether there is one.
func (o Obligations) release(holdID string) (Obligation, bool) {
	i := slices.IndexFunc(o.List(), func(one Obligation) bool { return one.HoldID == holdID && !one.isSale() })
	if i < 0 {
		return Obligation{}, false
	}
	return o[i], true
}

const (
	// dischargeAfter is the age from which a sweep discharges an obligation. By then the
	// booking's fact has usually done so, and the sweep finds nothing left to move.
	dischargeAfter = 5 * time.Second
	// dischargeLease is how long a sweep's claim keeps other sweeps away from a booking. It
	// is longer than a page of a sweep takes. If two sweeps handle one booking nevertheless,
	// they only waste work.
	dischargeLease = 15 * time.Second
)
