package bookingapi

import "boxoffice/shared/contract"

// Topic is the topic of the booking app's facts.
const Topic = "booking-events"

// The types of facts about bookings. The subject of each is the booking's id.
const (
	FactCreated   = "booking.created"
	FactConfirmed = "booking.confirmed"
	FactCancelled = "booking.cancelled"
	FactExpired   = "booking.expired"
)

// Resource is a booking and the id of its hold at the time of a fact. A booking that
// is confirmed after it expired gets a new hold, so facts about one booking can name
// different holds.
type Resource struct {
	Booking
	HoldID string `json:"holdId"`
}

// Fact is the data of every fact about a booking. It contains the booking after the
// change.
type Fact = contract.Fact[Resource]
