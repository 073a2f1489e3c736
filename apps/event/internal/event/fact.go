package event

import (
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// Fact is a record of an event's outbox, to be published on the bus.
type Fact struct {
	ID      string // of the CloudEvent
	Type    string
	Subject string // the event's id
	At      time.Time
	Data    []byte // JSON of an eventapi.Fact
}

// MaxFacts limits the facts in the outbox of an event that is not cancelled or deleted. A
// fact carries the whole event, up to about 40 KB, so the outbox stays far below the limit
// of a document, which is 16 MB.
const MaxFacts = 32

// newFact returns a fact of the given type that carries the event as it is in e.
func (s *Service) newFact(kind string, e Event) (Fact, error) {
	f := Fact{ID: s.ids.NewID(), Type: kind, Subject: e.ID, At: e.UpdatedAt}
	data, err := json.Marshal(eventapi.Fact{
		MessageID: f.ID, Timestamp: contract.At(f.At), Version: e.Version, Resource: e.Public(),
	})
	if err != nil {
		return f, fmt.Errorf("encode fact of event %s: %w", e.ID, err)
	}
	f.Data = data
	return f, nil
}
