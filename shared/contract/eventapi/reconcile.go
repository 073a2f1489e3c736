package eventapi

import "boxoffice/shared/contract"

// The values of Drift.Kind.
const (
	// DriftCounters means that the counters are not the sums of the holds.
	DriftCounters = "counters_differ"
	// DriftNotLive means that a held or sold hold has no live booking.
	DriftNotLive = "booking_not_live"
	// DriftNotSold means that the hold of a confirmed booking is held, not sold.
	DriftNotSold = "hold_not_sold"
	// DriftNoHold means that a live booking has no held or sold hold. It cannot be mended.
	DriftNoHold = "hold_missing"
	// DriftQuantity means that a booking and its hold have different quantities. It cannot
	// be mended.
	DriftQuantity = "quantity_differs"
)

// DriftKinds returns all values of Drift.Kind.
func DriftKinds() []string {
	return []string{DriftCounters, DriftNotLive, DriftNotSold, DriftNoHold, DriftQuantity}
}

// The values of Mend.Action.
const (
	MendCounters = "counters_written"
	MendReleased = "released"
	MendSold     = "sold"
)

// MaxDrift is the maximum number of differences in a Reconciliation.
const MaxDrift = 100

// ReconcileRequest is the request of ReconcileEvent.
type ReconcileRequest struct {
	EventID string `json:"eventId"`
	// Mend means that the differences are to be mended, too.
	Mend bool `json:"mend,omitempty"`
}

// Reconciliation is the response of ReconcileEvent.
type Reconciliation struct {
	EventID   string        `json:"eventId"`
	CheckedAt contract.Time `json:"checkedAt"`
	// Complete reports whether everything was compared. Otherwise the event has too many
	// holds, or seats moved during each comparison of the counters.
	Complete bool `json:"complete"`
	// Drift are the differences that were found, at most MaxDrift of them.
	Drift      []Drift `json:"drift"`
	DriftTotal int     `json:"driftTotal"`
	// Mended are the differences that no longer exist because of this request.
	Mended []Mend `json:"mended"`
}

// Drift is one difference between the counters, the holds and the bookings of an event.
type Drift struct {
	Kind      string `json:"kind"`
	BookingID string `json:"bookingId,omitempty"`
	HoldID    string `json:"holdId,omitempty"`
	// Counters are the counters of the event, and Holds what they must be for its holds.
	// Only DriftCounters has them.
	Counters *CapacityChange `json:"counters,omitempty"`
	Holds    *CapacityChange `json:"holds,omitempty"`
}

// Mend is a difference that was mended, and how.
type Mend struct {
	Drift
	Action string `json:"action"`
}
