package event

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/eventapi"
)

// GetEvent returns an event; see eventapi.GetEvent.
func (s *Service) GetEvent(ctx context.Context, req eventapi.GetRequest) (eventapi.Versioned, error) {
	e, err := s.visibleEvent(ctx, req)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	return e.versioned(), nil
}

// GetAvailability returns the seat counters of an event; see
// eventapi.GetAvailability.
func (s *Service) GetAvailability(ctx context.Context, req eventapi.GetRequest) (eventapi.Availability, error) {
	e, err := s.visibleEvent(ctx, req)
	if err != nil {
		return eventapi.Availability{}, err
	}
	return eventapi.Availability{
		EventID: e.ID, Capacity: e.Seats.Capacity, Available: e.Seats.Available,
		Held: e.Seats.Held, Sold: e.Seats.Sold, Version: e.Seats.Version,
	}, nil
}

// visibleEvent returns an event that the caller may see. It returns ErrNotFound if
// there is none.
func (s *Service) visibleEvent(ctx context.Context, req eventapi.GetRequest) (Event, error) {
	e, err := s.events.GetEvent(ctx, req.EventID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return Event{}, ErrNotFound
	case err != nil:
		return Event{}, fmt.Errorf("get event %s: %w", req.EventID, err)
	case !e.Visible(req.ByAdmin):
		return Event{}, ErrNotFound
	}
	return e, nil
}
