package eventapi

import "boxoffice/shared/contract"

// Topic is where the event app's facts are.
const Topic = "event-events"

// Types of facts. The subject is the event's id.
const (
	FactCreated   = "event.created"
	FactUpdated   = "event.updated" // the definition; sales alone are no fact
	FactCancelled = "event.cancelled"
	FactDeleted   = "event.deleted"
)

// Fact is the data of each of them: the event as it was then.
type Fact = contract.Fact[Event]
