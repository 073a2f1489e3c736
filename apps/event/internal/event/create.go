package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/idempotency"
)

// CreateEvent creates an event; see eventapi.CreateEvent.
func (s *Service) CreateEvent(ctx context.Context, req eventapi.CreateRequest) (eventapi.Created, error) {
	if key := req.IdempotencyKey; key != "" {
		var p problems
		if idempotency.CheckKey(&p.Problems, key); p.Err() != nil {
			return eventapi.Created{}, p.Err()
		}
		req.EventID = idempotency.ID(req.OrganizerID, key)
		// A request with a key may be a retry. It must be recognised before it is
		// validated, because an event may have started since it was created.
		created, err := s.createdEarlier(ctx, req)
		if !errors.Is(err, ErrNoEvent) {
			return created, err
		}
	}
	e, err := newEvent(req, s.now())
	if err != nil {
		return eventapi.Created{}, err
	}
	e.addCapacityEntry(ctx, CauseCreated, Seats{}, e.CreatedAt)
	defer s.locks.Lock(ctx, "event_create:"+e.OrganizerID)()
	fact, err := s.newFact(eventapi.FactCreated, e)
	if err != nil {
		return eventapi.Created{}, err
	}
	err = s.events.InsertEvent(ctx, e, fact)
	switch {
	case errors.Is(err, ErrExists):
		return s.createdEarlier(ctx, req)
	case errors.Is(err, ErrNameTaken):
		// An earlier attempt of this request may have taken the name. A store that finds
		// both the id and the name taken may return either error.
		if created, err := s.createdEarlier(ctx, req); !errors.Is(err, ErrNoEvent) {
			return created, err
		}
		return eventapi.Created{}, s.duplicateOf(ctx, e)
	case err != nil:
		return eventapi.Created{}, fmt.Errorf("create event: %w", err)
	}
	s.tryLogEntries(ctx, e.ID, e.Seats.Entries)
	s.cacheEvent(ctx, e)
	return eventapi.Created{Versioned: e.versioned()}, nil
}

// createdEarlier returns the event with the id of req as it was created, if an earlier
// attempt of the same request created it. It returns ErrNoEvent if no event has the id. If
// the id belongs to another event, the error reveals only that.
func (s *Service) createdEarlier(ctx context.Context, req eventapi.CreateRequest) (eventapi.Created, error) {
	stored, err := s.events.GetEvent(ctx, req.EventID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return eventapi.Created{}, ErrNoEvent
	case err != nil:
		return eventapi.Created{}, fmt.Errorf("create event %s: read the stored one: %w", req.EventID, err)
	}
	e, err := newEvent(req, stored.CreatedAt)
	switch {
	case err == nil && stored.Fingerprint == e.Fingerprint:
		return eventapi.Created{Versioned: e.versioned(), Replayed: req.IdempotencyKey != ""}, nil
	case req.IdempotencyKey != "":
		return eventapi.Created{}, ErrIdempotencyMismatch
	}
	return eventapi.Created{}, apperr.InvalidFields(apperr.Field{Field: "eventId", Code: "taken", Message: "must not be the id of another event"})
}

// duplicateOf returns the refusal of an event whose name and start are taken. It names the
// event that has them. If that event is gone by now, the refusal names none.
func (s *Service) duplicateOf(ctx context.Context, e Event) error {
	id, err := s.catalogue.FindIdentity(ctx, e.Identity())
	if err != nil && !errors.Is(err, ErrNoEvent) {
		return fmt.Errorf("find the duplicate of event %s: %w", e.ID, err)
	}
	refusal := *ErrDuplicate
	refusal.ConflictsWith = id
	return &refusal
}

// fingerprint returns the fingerprint of a request; see idempotency.Fingerprint.
func fingerprint(organizerID string, d eventapi.Definition) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("fingerprint of an event: %w", err)
	}
	return idempotency.Fingerprint(organizerID + "\n" + string(text)), nil
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
	var err error
	if e.Fingerprint, err = fingerprint(req.OrganizerID, in); err != nil {
		return e, err
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
