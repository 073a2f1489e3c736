package booking

import (
	"time"

	"boxoffice/shared/contract/bookingapi"
)

const (
	// refusedRetention is the time that a refused record is kept, from the write that
	// invalidated its number. It must be longer than any process can stall and then
	// continue with that number.
	refusedRetention = 24 * time.Hour

	// keylessRetention replaces refusedRetention for a create without a key. Its id is
	// known to one request only, so the record is needed only while attempts of that
	// request can still insert the booking:
	//
	//   - The gateway's sidecar makes three attempts of at most 17 s, with pauses of 0.1 s
	//     (dapr/resiliency.yaml), so the last one begins at most 34.2 s after the first, and
	//     its end is not awaited after 51.2 s.
	//   - An attempt inserts nothing once it is older than the operation's timeout of 15 s
	//     (attempt.isTooOld), and its insert is given up after 5 s.
	//
	// Together that is less than 72 s. The rest is for clocks that differ.
	//
	// A process that stalls for longer than that within its insert leaves a hold without
	// a booking. The event app settles that hold, and SettleHold keeps the record for
	// refusedRetention.
	keylessRetention = 2 * time.Minute
)

// retention returns the time that a refusal of the attempt is kept.
func (a *attempt) retention() time.Duration {
	if a.req.IdempotencyKey == "" {
		return keylessRetention
	}
	return refusedRetention
}

// isTooOld reports whether the attempt must not insert its booking any more, because the
// record of a refusal may have been deleted since the attempt began. Its caller has given
// up by then. With a key, the hold number from the record fences the attempt off instead.
func (a *attempt) isTooOld(now time.Time) bool {
	return a.req.IdempotencyKey == "" && now.Sub(a.begun) > bookingapi.CreateBooking.Timeout
}
