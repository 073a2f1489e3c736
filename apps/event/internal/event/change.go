package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/cas"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// UpdateEvent changes the definition or the status of an event. Refusals:
// event.not_found, event.version_conflict, event.cancelled, event.duplicate,
// event.capacity_below_committed, event.has_bookings.
func (s *Service) UpdateEvent(ctx context.Context, req eventapi.UpdateRequest) (eventapi.Versioned, error) {
	if req.Changes == (eventapi.Changes{}) {
		return eventapi.Versioned{}, apperr.New(apperr.Invalid, "", "Send at least one field to change.")
	}
	e, err := s.change(ctx, req.EventID, eventapi.FactUpdated, func(e *Event, now time.Time) (bool, error) {
		if req.Version != 0 && req.Version != e.Version {
			return false, ErrVersionConflict
		}
		return true, e.apply(req.Changes, now)
	})
	return e.versioned(), err
}

// CancelEvent cancels an event, which cannot be undone. The booking app then cancels the
// event's live bookings. CancelEvent does nothing if the event is cancelled already.
// Refusal: event.not_found.
func (s *Service) CancelEvent(ctx context.Context, req eventapi.GetRequest) (eventapi.Versioned, error) {
	e, err := s.change(ctx, req.EventID, eventapi.FactCancelled, func(e *Event, _ time.Time) (bool, error) {
		if e.Status == Cancelled {
			return false, nil
		}
		return true, e.setStatus(Cancelled)
	})
	return e.versioned(), err
}

// DeleteEvent removes an event that has no live bookings. Refusals: event.not_found,
// event.has_bookings.
func (s *Service) DeleteEvent(ctx context.Context, req eventapi.GetRequest) (rpc.Nothing, error) {
	_, err := s.change(ctx, req.EventID, eventapi.FactDeleted, func(e *Event, _ time.Time) (bool, error) {
		if err := e.setStatus(Deleted); err != nil {
			return false, err
		}
		if len(e.Seats.Marks) == 0 {
			return true, nil
		}
		// Once the event is deleted, nothing finishes the steps of its marks.
		return false, errMarked
	})
	return rpc.Nothing{}, err
}

// errMarked is returned by an attempt to delete an event that has marks. The attempt
// removes the marks, and is then repeated.
var errMarked = errors.New("the event has marks")

// change makes every change of a definition or a status. It reads the event, calls edit,
// and writes the result by compare-and-set on the event's version and on seats.version. A
// change and a reserve that started from the same snapshot therefore never both succeed.
// change returns the event as it is afterwards.
func (s *Service) change(ctx context.Context, id, kind string, edit editFunc) (Event, error) {
	var e Event
	err := cas.Retry(ctx, func(ctx context.Context) error {
		var err error
		e, err = s.tryChange(ctx, id, kind, edit)
		return err
	}, ErrStale, errMarked)
	return e, err
}

// editFunc changes an event in place and reports whether it must be written.
type editFunc func(e *Event, now time.Time) (isChanged bool, err error)

// tryChange makes one attempt at a change. It returns ErrStale if the event was written
// since it was read. If edit returns errMarked, tryChange removes the event's marks before
// it returns errMarked too.
func (s *Service) tryChange(ctx context.Context, id, kind string, edit editFunc) (Event, error) {
	before, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: id, ByAdmin: true})
	if err != nil {
		return Event{}, err
	}
	e, now := before, s.now()
	isChanged, err := edit(&e, now)
	switch {
	case errors.Is(err, errMarked):
		if err := s.clearMarks(ctx, before); err != nil {
			return Event{}, err
		}
		return Event{}, errMarked
	case err != nil || !isChanged:
		return before, err
	}
	e.raiseVersion(now)
	fact, err := s.newFact(kind, e)
	if err != nil {
		return Event{}, err
	}
	err = s.events.WriteDefinition(ctx, e, before.Version, fact)
	switch {
	case errors.Is(err, ErrNameTaken):
		return Event{}, ErrDuplicate
	case err != nil:
		return Event{}, fmt.Errorf("write event %s: %w", id, err)
	}
	e.Seats.Version++
	return e, nil
}

// apply applies the changes to the event. The error lists every invalid field, or is
// the first refusal that applies.
func (e *Event) apply(c eventapi.Changes, now time.Time) error {
	if e.Status == Cancelled {
		return ErrCancelled
	}
	var p problems
	d, capacity := e.Definition, e.Seats.Capacity
	set(&p, "name", c.Name, &d.Name)
	setOrEmpty(c.Description, &d.Description)
	setOrEmpty(c.Category, &d.Category)
	setOrEmpty(c.Venue, &d.Venue)
	setTime(&p, "startsAt", c.StartsAt, &d.StartsAt)
	setTime(&p, "endsAt", c.EndsAt, &d.EndsAt)
	set(&p, "timezone", c.Timezone, &d.Timezone)
	set(&p, "capacity", c.Capacity, &capacity)
	set(&p, "price", c.Price, &d.Price)
	setOrNil(c.MaxPerUser, &d.MaxPerUser, func(n int64) int64 { return n })
	setOrNil(c.SalesStartAt, &d.SalesStartAt, func(t contract.Time) time.Time { return instant(t.Time) })
	setOrNil(c.SalesEndAt, &d.SalesEndAt, func(t contract.Time) time.Time { return instant(t.Time) })
	set(&p, "cancellationCutoffHours", c.CancellationCutoffHours, &d.CancellationCutoffHours)

	status := e.Status
	if c.Status.Present {
		status = p.parseNewStatus(c.Status.Value)
	}
	p.checkDefinition(d, capacity)
	if status == Published && e.Status == Draft {
		p.checkPublishable(d.StartsAt, now)
	}
	if err := p.Err(); err != nil {
		return err
	}
	seats, err := e.Seats.Resized(capacity)
	if err != nil {
		return err
	}
	if status != e.Status {
		if err := e.setStatus(status); err != nil {
			return err
		}
	}
	e.Definition, e.Seats = d, seats
	return nil
}

// set sets a field that cannot be cleared.
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

// setOrEmpty sets a text field. Null sets it to the empty string.
func setOrEmpty(o contract.Optional[string], to *string) {
	if o.Present {
		*to = o.Value
	}
}

// setOrNil sets a field that is nil when it is unset.
func setOrNil[T, U any](o contract.Optional[T], to **U, convert func(T) U) {
	switch {
	case o.Null:
		*to = nil
	case o.Present:
		v := convert(o.Value)
		*to = &v
	}
}
