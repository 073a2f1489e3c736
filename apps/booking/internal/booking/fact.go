package booking

import (
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

// Fact is a record of the outbox: something that others are to know.
type Fact struct {
	ID      string // the CloudEvent's
	Type    string
	Subject string // the booking's id
	At      time.Time
	Data    []byte // JSON of a bookingapi.Fact
}

// factsOf returns the records that say what a transition made of a booking.
func (s *Service) factsOf(from State, b Booking) ([]Fact, error) {
	kind, err := factOf(from, b.State)
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
		return nil, fmt.Errorf("fact of booking %s: %w", b.ID, err)
	}
	return []Fact{f}, nil
}
