package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// UpdateEvent changes the definition or the status of an event. Refusals:
// event.not_found, event.version_conflict, event.cancelled, event.duplicate,
// event.capacity_below_committed, event.has_bookings.
func (s *Service) UpdateEvent(ctx context.Context, req eventapi.UpdateRequest) (eventapi.Versioned, error) {
	if req.Changes == (eventapi.Changes{}) {
		return eventapi.Versioned{}, apperr.New(apperr.Invalid, "", "There is nothing to change.")
	}
	e, err := s.change(ctx, req.EventID, eventapi.FactUpdated, func(e *Event, now time.Time) (bool, error) {
		if req.Version != 0 && req.Version != e.Version {
			return false, ErrVersionConflict
		}
		return true, e.apply(req.Changes, now)
	})
	return e.versioned(), err
}

// CancelEvent cancels an event, for ever; its live bookings follow. Repeated it
// changes nothing. Refusal: event.not_found.
func (s *Service) CancelEvent(ctx context.Context, req eventapi.GetRequest) (eventapi.Versioned, error) {
	e, err := s.change(ctx, req.EventID, eventapi.FactCancelled, func(e *Event, _ time.Time) (bool, error) {
		if e.Status == Cancelled {
			return false, nil
		}
		return true, e.become(Cancelled)
	})
	return e.versioned(), err
}

// DeleteEvent removes an event that has no live bookings. Refusals: event.not_found,
// event.has_bookings.
func (s *Service) DeleteEvent(ctx context.Context, req eventapi.GetRequest) (rpc.Nothing, error) {
	_, err := s.change(ctx, req.EventID, eventapi.FactDeleted, func(e *Event, _ time.Time) (bool, error) {
		if err := e.become(Deleted); err != nil {
			return false, err
		}
		if len(e.Seats.Marks) == 0 {
			return true, nil
		}
		// A hold may lag behind its mark, and only the event knows.
		return false, errMarked
	})
	return rpc.Nothing{}, err
}

// errMarked says that marks must go first.
var errMarked = errors.New("the event has marks")

// change is the only way by which definition and status change: read, decide,
// and write where neither version has moved. So no reserve slips past a change
// that concerns it.
func (s *Service) change(ctx context.Context, id, kind string, decide func(e *Event, now time.Time) (bool, error)) (Event, error) {
	for range maxTries {
		e, err := s.visible(ctx, eventapi.GetRequest{EventID: id, ByAdmin: true})
		if err != nil {
			return Event{}, err
		}
		before, now := e, s.now()
		write, err := decide(&e, now)
		switch {
		case errors.Is(err, errMarked):
			if err := s.clearMarks(ctx, before); err != nil && !errors.Is(err, ErrStale) {
				return Event{}, err
			}
			continue
		case err != nil || !write:
			return before, err
		}
		e.changed(now)
		fact, err := s.fact(kind, e)
		if err != nil {
			return Event{}, err
		}
		err = s.events.WriteDefinition(ctx, e, before.Version, fact)
		switch {
		case errors.Is(err, ErrStale):
			continue
		case errors.Is(err, ErrNameTaken):
			return Event{}, ErrDuplicate
		case err != nil:
			return Event{}, fmt.Errorf("write event %s: %w", id, err)
		}
		e.Seats.Version++
		return e, nil
	}
	return Event{}, apperr.Overloaded(busyFor)
}

// apply changes the event as asked. The error lists every field that is wrong,
// or is the first of the refusals.
func (e *Event) apply(c eventapi.Changes, now time.Time) error {
	if e.Status == Cancelled {
		return ErrCancelled
	}
	var p problems
	d, capacity := e.Definition, e.Seats.Capacity
	set(&p, "name", c.Name, &d.Name)
	clearable(c.Description, &d.Description)
	clearable(c.Category, &d.Category)
	clearable(c.Venue, &d.Venue)
	setTime(&p, "startsAt", c.StartsAt, &d.StartsAt)
	setTime(&p, "endsAt", c.EndsAt, &d.EndsAt)
	set(&p, "timezone", c.Timezone, &d.Timezone)
	set(&p, "capacity", c.Capacity, &capacity)
	set(&p, "price", c.Price, &d.Price)
	optional(c.MaxPerUser, &d.MaxPerUser, func(n int64) int64 { return n })
	optional(c.SalesStartAt, &d.SalesStartAt, func(t contract.Time) time.Time { return instant(t.Time) })
	optional(c.SalesEndAt, &d.SalesEndAt, func(t contract.Time) time.Time { return instant(t.Time) })
	set(&p, "cancellationCutoffHours", c.CancellationCutoffHours, &d.CancellationCutoffHours)

	status := e.Status
	if c.Status.Present {
		status = p.status(c.Status.Value)
	}
	p.definition(d, capacity)
	if status == Published && e.Status == Draft && !now.Before(d.StartsAt) {
		p.Add("startsAt", "in_past", "must be in the future to be published")
	}
	if err := p.Err(); err != nil {
		return err
	}
	seats, err := e.Seats.Resized(capacity)
	if err != nil {
		return err
	}
	if status != e.Status {
		if err := e.become(status); err != nil {
			return err
		}
	}
	e.Definition, e.Seats = d, seats
	return nil
}

// set takes over a field that cannot be cleared.
func set[T any](p *problems, field string, o contract.Optional[T], to *T) {
	switch {
	case o.Null:
		p.Add(field, "null", "must not be null")
	case o.Present:
		*to = o.Value
	}
}

func setTime(p *problems, field string, o contract.Optional[contract.Time], to *time.Time) {
	at := contract.At(*to)
	set(p, field, o, &at)
	*to = instant(at.Time)
}

// clearable takes over a text, which null clears.
func clearable(o contract.Optional[string], to *string) {
	if o.Present {
		*to = o.Value
	}
}

// optional takes over a field that is nil when unset.
func optional[T, U any](o contract.Optional[T], to **U, convert func(T) U) {
	switch {
	case o.Null:
		*to = nil
	case o.Present:
		v := convert(o.Value)
		*to = &v
	}
}
