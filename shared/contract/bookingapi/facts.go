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

// Resource is a booking and the hold that a fact is about. A booking that is
// confirmed late gets a new hold, so facts about one booking can name different
// holds.
type Resource struct {
	Booking
	HoldID string `json:"holdId"`
}

// Fact is the data of all facts about bookings: the booking after the change.
type Fact = contract.Fact[Resource]
