package booking

import (
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

// Fact is an outbox entry: a message about a change of a booking that is to be
// published.
type Fact struct {
	ID      string // id of the CloudEvent
	Type    string // one of bookingapi's fact types
	Subject string // id of the booking
	At      time.Time
	Data    []byte // a bookingapi.Fact as JSON
}

// newFacts returns the facts that announce that a record in state from has become b.
// It returns none if this transition is not announced, and an error if it is not
// permitted.
func (s *Service) newFacts(from State, b Booking) ([]Fact, error) {
	kind, err := factType(from, b.State)
	if err != nil {
		return nil, fmt.Errorf("booking %s: %w", b.ID, err)
	}
	if kind == "" {
		return nil, nil
	}
	f := Fact{ID: s.ids.NewID(), Type: kind, Subject: b.ID, At: b.UpdatedAt}
	f.Data, err = json.Marshal(bookingapi.Fact{
		MessageID: f.ID, Timestamp: contract.At(f.At), Version: b.Revision,
		Resource: bookingapi.Resource{Booking: b.Public(), HoldID: b.HoldID},
	})
	if err != nil {
		return nil, fmt.Errorf("encode fact about booking %s: %w", b.ID, err)
	}
	return []Fact{f}, nil
}
