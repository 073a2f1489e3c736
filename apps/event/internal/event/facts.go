package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// Fact is a record of the outbox: something that others are to know.
type Fact struct {
	ID      string // the CloudEvent's
	Type    string
	Subject string // the event's id
	At      time.Time
	Data    []byte // JSON of an eventapi.Fact
}

// fact returns the record that says what became of an event.
func (s *Service) fact(kind string, e Event) (Fact, error) {
	f := Fact{ID: s.ids.NewID(), Type: kind, Subject: e.ID, At: e.UpdatedAt}
	data, err := json.Marshal(eventapi.Fact{
		MessageID: f.ID, Timestamp: contract.At(f.At), Version: e.Version, Resource: e.Public(),
	})
	if err != nil {
		return f, fmt.Errorf("fact of event %s: %w", e.ID, err)
	}
	f.Data = data
	return f, nil
}

// OnBookingCreated links a hold to its booking: it need not be asked about until
// its booking was to lapse. The next sweep writes that down, of many at once; what
// a crash forgets before is asked about, and no harm done.
func (s *Service) OnBookingCreated(ctx context.Context, fact bookingapi.Fact) error {
	b := fact.Resource
	at := instant(b.ExpiresAt.Time).Add(s.settleAfter)
	if s.heard.add(b.HoldID, at) {
		return nil
	}
	if err := s.holds.PostponeSettle(ctx, map[string]time.Time{b.HoldID: at}); err != nil {
		return fmt.Errorf("link hold %s: %w", b.HoldID, err)
	}
	return nil
}

// OnBookingConfirmed counts the seats of the booking's hold as sold.
func (s *Service) OnBookingConfirmed(ctx context.Context, fact bookingapi.Fact) error {
	return s.sell(ctx, fact.Resource.EventID, fact.Resource.HoldID)
}

// OnBookingCancelled gives the seats of the booking's hold back.
func (s *Service) OnBookingCancelled(ctx context.Context, fact bookingapi.Fact) error {
	return s.releaseFor(ctx, fact.Resource)
}

// OnBookingExpired gives the seats of the booking's hold back.
func (s *Service) OnBookingExpired(ctx context.Context, fact bookingapi.Fact) error {
	return s.releaseFor(ctx, fact.Resource)
}

func (s *Service) releaseFor(ctx context.Context, b bookingapi.Resource) error {
	return s.release(ctx, Hold{ID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity})
}
