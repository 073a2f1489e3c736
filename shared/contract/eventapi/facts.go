package eventapi

import "boxoffice/shared/contract"

// Topic is the topic of the event app's facts.
const Topic = "event-events"

// The types of the event app's facts. Their subject is the event's id.
const (
	FactCreated = "event.created"
	// FactUpdated means that the definition changed, or the status to draft or published.
	// Reservations and sales publish no facts.
	FactUpdated   = "event.updated"
	FactCancelled = "event.cancelled"
	FactDeleted   = "event.deleted"
)

// Fact is the data of every fact about an event. It contains the event after the change.
type Fact = contract.Fact[Event]
