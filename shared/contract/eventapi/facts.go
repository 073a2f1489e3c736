package eventapi

import "boxoffice/shared/contract"

// Topic is the topic of the event app's facts.
const Topic = "event-events"

// The types of the event app's facts. Their subject is the event's id.
const (
	FactCreated   = "event.created"
	FactUpdated   = "event.updated" // the definition changed; reservations and sales publish no facts
	FactCancelled = "event.cancelled"
	FactDeleted   = "event.deleted"
)

// Fact is the data of every fact about an event. It contains the event after the change.
type Fact = contract.Fact[Event]
