package eventapi

import "boxoffice/shared/contract"

// The values of CapacityLogEntry.Cause. The first three are the causes of releases.
const (
	CauseReleased        = "released" // the hold had no live booking
	CauseExpired         = "expired"
	CauseCancelled       = "cancelled"
	CauseCreated         = "created"
	CauseCapacityChanged = "capacity_changed"
	CauseReserved        = "reserved"
	CauseSold            = "sold"
	CauseOpening         = "opening" // the sum of all earlier entries
)

// CapacityLogRequest is the request of ListCapacityLog.
type CapacityLogRequest struct {
	contract.PageRequest
	EventID string `json:"eventId"`
}

// CapacityLogEntry is an entry of the capacity log: one change of an event's counters.
type CapacityLogEntry struct {
	ID     string         `json:"id"` // unique within the event
	At     contract.Time  `json:"at"`
	Cause  string         `json:"cause"`
	Change CapacityChange `json:"change"`
	// BookingID is the booking whose seats moved. It is empty if the capacity changed.
	BookingID string `json:"bookingId,omitempty"`
	TraceID   string `json:"traceId,omitempty"` // of the request that made the change
}

// CapacityChange is what an entry adds to the counters of an event.
type CapacityChange struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Sold      int64 `json:"sold"`
}
