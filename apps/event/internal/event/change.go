package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/cas"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// UpdateEvent changes the definition or the status of an event; see
// eventapi.UpdateEvent.
func (s *Service) UpdateEvent(ctx context.Context, req eventapi.UpdateRequest) (eventapi.Versioned, error) {
	var p problems
	p.ID("eventId", req.EventID)
	p.ID("changeId", req.ChangeID)
	if err := p.Err(); err != nil {
		return eventapi.Versioned{}, err
	}
	if req.Changes == (eventapi.Changes{}) {
		return eventapi.Versioned{}, apperr.New(apperr.Invalid, "", "Send at least one field to change.")
	}
	id := eventapi.ChangeRequest{EventID: req.EventID, ChangeID: req.ChangeID}
	e, err := s.change(ctx, id, eventapi.FactUpdated, func(e *Event, now time.Time) (bool, error) {
		if req.Versions != nil && !slices.Contains(req.Versions, e.Version) {
			return false, ErrVersionConflict
		}
		return true, e.apply(req.Changes, now)
	})
	return e.versionedToAdmin(), err
}

// CancelEvent cancels an event; see eventapi.CancelEvent.
func (s *Service) CancelEvent(ctx context.Context, req eventapi.ChangeRequest) (eventapi.Versioned, error) {
	if err := validateChange(req); err != nil {
		return eventapi.Versioned{}, err
	}
	e, err := s.change(ctx, req, eventapi.FactCancelled, func(e *Event, _ time.Time) (bool, error) {
		if e.Status == Cancelled {
			return false, nil
		}
		return true, e.setStatus(Cancelled)
	})
	return e.versionedToAdmin(), err
}

// DeleteEvent removes an event; see eventapi.DeleteEvent.
func (s *Service) DeleteEvent(ctx context.Context, req eventapi.ChangeRequest) (rpc.Nothing, error) {
	if err := validateChange(req); err != nil {
		return rpc.Nothing{}, err
	}
	_, err := s.change(ctx, req, eventapi.FactDeleted, func(e *Event, _ time.Time) (bool, error) {
		if err := e.setStatus(Deleted); err != nil {
			return false, err
		}
		if len(e.Seats.Marks) == 0 {
			return true, nil
		}
		// Once the event is deleted, nothing finishes the steps of its marks.
		return false, errMarked
	})
	if err == nil {
		s.tryDeleteLog(ctx, req.EventID)
	}
	return rpc.Nothing{}, err
}

// outboxRetryAfter is how long a client should wait before it changes an event again whose
// facts the relay cannot publish at the moment.
const outboxRetryAfter = 5 * time.Second

// errMarked is returned by an attempt to delete an event that has marks. The attempt
// removes the marks, and is then repeated.
var errMarked = errors.New("the event has marks")

// change makes every change of a definition or a status. It reads the event, calls edit,
// and writes the result by compare-and-set on the event's version and on seats.version. A
// change and a reserve that started from the same snapshot therefore never both succeed.
//
// The write also stores the id of the change. If the event has the id already, an earlier
// attempt of the same request has made the change, and change does nothing. change returns
// the event as it is afterwards.
func (s *Service) change(ctx context.Context, req eventapi.ChangeRequest, kind string, edit editFunc) (Event, error) {
	var e Event
	err := cas.Retry(ctx, func(ctx context.Context) error {
		var err error
		e, err = s.tryChange(ctx, req, kind, edit)
		return err
	}, ErrStale, errMarked)
	return e, err
}

// editFunc changes an event in place and reports whether it must be written.
type editFunc func(e *Event, now time.Time) (isChanged bool, err error)

// tryChange makes one attempt at a change. It returns ErrStale if the event was written
// since it was read. If edit returns errMarked, tryChange removes the event's marks before
// it returns errMarked too.
func (s *Service) tryChange(ctx context.Context, req eventapi.ChangeRequest, kind string, edit editFunc) (Event, error) {
	before, err := s.eventToChange(ctx, req)
	if err != nil || before.hasChange(req.ChangeID) {
		return before, err
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
	if err := s.boundEntries(ctx, before); err != nil {
		return Event{}, err
	}
	e.Seats.Entries = s.logged.missing(before)
	e.addCapacityEntry(ctx, CauseCapacityChanged, before.Seats, now)
	e.recordChange(req.ChangeID, now)
	fact, err := s.newFact(kind, e)
	if err != nil {
		return Event{}, err
	}
	err = s.events.WriteDefinition(ctx, e, before.Version, fact)
	switch {
	case errors.Is(err, ErrNameTaken):
		return Event{}, s.duplicateOf(ctx, e)
	case errors.Is(err, ErrOutboxFull):
		return Event{}, apperr.Overloaded(outboxRetryAfter).WithCause(err)
	case err != nil:
		return Event{}, fmt.Errorf("write event %s: %w", e.ID, err)
	}
	s.dropCached(ctx, e.ID)
	s.logged.keep(e.ID, e.Seats.Entries, before.Seats.Version)
	s.tryLogEntries(ctx, e.ID, e.Seats.Entries)
	e.Seats.Version++
	return e, nil
}

// eventToChange returns the event that a request changes. It returns a deleted event only
// if the request has changed it already, and ErrNotFound otherwise.
func (s *Service) eventToChange(ctx context.Context, req eventapi.ChangeRequest) (Event, error) {
	e, err := s.events.GetEvent(ctx, req.EventID)
	switch {
	case errors.Is(err, ErrNoEvent), err == nil && !e.Visible(true) && !e.hasChange(req.ChangeID):
		return Event{}, ErrNotFound
	case err != nil:
		return Event{}, fmt.Errorf("get event %s: %w", req.EventID, err)
	}
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
