package bookingapi

import "boxoffice/shared/contract"

// Topic is where the booking app's facts are.
const Topic = "booking-events"

// Types of facts. The subject is the booking's id.
const (
	FactCreated   = "booking.created"
	FactConfirmed = "booking.confirmed"
	FactCancelled = "booking.cancelled"
	FactExpired   = "booking.expired"
)

// Resource is a booking with the hold that the fact is about: a booking that was
// confirmed late has another one than before.
type Resource struct {
	Booking
	HoldID string `json:"holdId"`
}

// Fact is the data of each of them: the booking as it was then.
type Fact = contract.Fact[Resource]
