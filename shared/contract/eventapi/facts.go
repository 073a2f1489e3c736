package eventapi

import "boxoffice/shared/contract"

// Topic is the topic of the event app's facts.
const Topic = "event-events"

// The types of the event app's facts. Their subject is the event's id.
const (
	FactCreated   = "event.created"
	FactUpdated   = "event.updated" // the definition changed; moves of seats publish no facts
	FactCancelled = "event.cancelled"
	FactDeleted   = "event.deleted"
)

// Fact is the data of a fact of any type: the event as it was when the fact was written.
type Fact = contract.Fact[Event]
