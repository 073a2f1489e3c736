package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

// storeTimeout is how long a read for the public waits for the store before it uses the
// cache.
const storeTimeout = 2 * time.Second

// GetEvent returns an event; see eventapi.GetEvent.
func (s *Service) GetEvent(ctx context.Context, req eventapi.GetRequest) (eventapi.Versioned, error) {
	if req.ByAdmin { // an admin, or another app, must not decide on the basis of a copy
		e, err := s.visibleEvent(ctx, req)
		return e.versionedToAdmin(), err
	}
	e, err := s.publicEvent(ctx, req)
	switch {
	case err == nil:
		s.cacheRead(ctx, e)
		return e.versioned(), nil
	case apperr.VerdictOf(err) != apperr.Refused:
		return s.cachedEvent(ctx, req.EventID, err)
	}
	return eventapi.Versioned{}, err
}

// publicEvent is visibleEvent with storeTimeout.
func (s *Service) publicEvent(ctx context.Context, req eventapi.GetRequest) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.visibleEvent(ctx, req)
}

// GetAvailability returns the seat counters and the status of an event; see
// eventapi.GetAvailability.
func (s *Service) GetAvailability(ctx context.Context, req eventapi.GetRequest) (eventapi.Seats, error) {
	e, err := s.visibleEvent(ctx, req)
	if err != nil {
		return eventapi.Seats{}, err
	}
	return eventapi.Seats{
		Availability: eventapi.Availability{
			EventID: e.ID, Capacity: e.Seats.Capacity, Available: e.Seats.Available,
			Held: e.Seats.Held, Sold: e.Seats.Sold, Version: e.Seats.Version,
		},
		Status: string(e.Status),
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
