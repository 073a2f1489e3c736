package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// CreateEvent creates an event; see eventapi.CreateEvent. A retry with the same id and
// request returns the event as it is now. The retry is refused if the event's name or
// start has changed since, or if the event was deleted.
func (s *Service) CreateEvent(ctx context.Context, req eventapi.CreateRequest) (eventapi.Versioned, error) {
	now := s.now()
	e, err := newEvent(req, now)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	defer s.locks.Lock(ctx, "event_create:"+e.OrganizerID)()
	fact, err := s.newFact(eventapi.FactCreated, e)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	err = s.events.InsertEvent(ctx, e, fact)
	switch {
	case errors.Is(err, ErrExists):
		return s.createdEarlier(ctx, e)
	case errors.Is(err, ErrNameTaken):
		// An earlier attempt of this request may have taken the name. A store that finds
		// both the id and the name taken may return either error.
		if created, err := s.createdEarlier(ctx, e); err == nil {
			return created, nil
		}
		return eventapi.Versioned{}, ErrDuplicate
	case err != nil:
		return eventapi.Versioned{}, fmt.Errorf("create event: %w", err)
	}
	return e.versioned(), nil
}

// createdEarlier returns the stored event with the id of e, if an earlier attempt of the
// same request created it. It returns ErrDuplicate if no event has the id. If the id
// belongs to another event, the error reveals only that.
func (s *Service) createdEarlier(ctx context.Context, e Event) (eventapi.Versioned, error) {
	stored, err := s.events.GetEvent(ctx, e.ID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return eventapi.Versioned{}, ErrDuplicate
	case err != nil:
		return eventapi.Versioned{}, fmt.Errorf("create event %s: read the stored one: %w", e.ID, err)
	case stored.Identity() != e.Identity():
		return eventapi.Versioned{}, apperr.InvalidFields(apperr.Field{Field: "eventId", Code: "taken", Message: "must not be the id of another event"})
	}
	return stored.versioned(), nil
}

// newEvent returns the event that a request asks for. The error lists every invalid
// field.
func newEvent(req eventapi.CreateRequest, now time.Time) (Event, error) {
	var p problems
	p.ID("eventId", req.EventID)
	p.ID("organizerId", req.OrganizerID)
	in := req.Event
	e := Event{
		ID: req.EventID, OrganizerID: req.OrganizerID, Status: Published, Version: 1,
		Definition: Definition{
			Name: in.Name, Description: valueOr(in.Description, ""), Category: valueOr(in.Category, ""), Venue: valueOr(in.Venue, ""),
			StartsAt: instant(in.StartsAt.Time), EndsAt: instant(in.EndsAt.Time),
			Timezone: valueOr(in.Timezone, "UTC"), Price: valueOr(in.Price, contract.Money{Currency: "EUR"}),
			MaxPerUser: in.MaxPerUser, SalesStartAt: optionalInstant(in.SalesStartAt), SalesEndAt: optionalInstant(in.SalesEndAt),
			CancellationCutoffHours: valueOr(in.CancellationCutoffHours, 0),
		},
		Seats:     Seats{Capacity: in.Capacity, Available: in.Capacity, Version: 1},
		CreatedAt: now, UpdatedAt: now,
	}
	p.checkDefinition(e.Definition, in.Capacity)
	if in.Status != nil {
		e.Status = p.parseNewStatus(*in.Status)
	}
	if e.Status == Published && !e.StartsAt.IsZero() {
		p.checkPublishable(e.StartsAt, now)
	}
	return e, p.Err()
}

func valueOr[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

func optionalInstant(t *contract.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := instant(t.Time)
	return &at
}
