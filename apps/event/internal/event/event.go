package event

import (
	"fmt"
	"slices"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// Status is where an event is in its life.
type Status string

// The statuses. A deleted event is seen by nobody; its document stays until its
// last fact has been published.
const (
	Draft     Status = eventapi.StatusDraft
	Published Status = eventapi.StatusPublished
	Cancelled Status = eventapi.StatusCancelled
	Deleted   Status = "deleted"
)

// ParseStatus returns the status of that name, of those that clients know.
func ParseStatus(s string) (Status, error) {
	switch status := Status(s); status {
	case Draft, Published, Cancelled:
		return status, nil
	case Deleted:
	}
	return "", fmt.Errorf("unknown status %q of an event", s)
}

// transition is one line of the table of statuses.
type transition struct {
	from, to Status
	// unbooked says that there must be no seat held or sold.
	unbooked bool
}

// transitions is the table. What is not in it does not happen.
func transitions() []transition {
	return []transition{
		{from: Draft, to: Published},
		{from: Published, to: Draft, unbooked: true},
		{from: Draft, to: Cancelled},
		{from: Published, to: Cancelled},
		{from: Draft, to: Deleted, unbooked: true},
		{from: Published, to: Deleted, unbooked: true},
		{from: Cancelled, to: Deleted, unbooked: true},
	}
}

// Definition is what its organizer says about an event. Texts are empty, and
// pointers nil, when unset.
type Definition struct {
	Name                    string
	Description             string
	Category                string
	Venue                   string
	StartsAt                time.Time
	EndsAt                  time.Time
	Timezone                string
	Price                   contract.Money
	MaxPerUser              *int64
	SalesStartAt            *time.Time
	SalesEndAt              *time.Time
	CancellationCutoffHours int64
}

// Event is an event: a definition, a status, and seats that move apart from them.
type Event struct {
	ID          string
	OrganizerID string
	Definition
	Status    Status
	Version   int64 // from 1, raised with each change of definition or status
	Seats     Seats
	CreatedAt time.Time
	UpdatedAt time.Time
}

// become changes the status. It returns ErrCancelled for what was cancelled,
// ErrHasBookings when seats are taken that must not be, and changes nothing then.
func (e *Event) become(to Status) error {
	table := transitions()
	i := slices.IndexFunc(table, func(t transition) bool { return t.from == e.Status && t.to == to })
	switch {
	case i < 0 && e.Status == Cancelled:
		return ErrCancelled
	case i < 0:
		return fmt.Errorf("event %s: no way from %s to %s", e.ID, e.Status, to)
	case table[i].unbooked && e.Seats.Committed() > 0:
		return ErrHasBookings
	}
	e.Status = to
	return nil
}

// changed marks a change of the definition or status.
func (e *Event) changed(now time.Time) {
	e.Version++
	e.UpdatedAt = now
}

// Visible reports whether who asks may know of the event.
func (e Event) Visible(byAdmin bool) bool {
	switch e.Status {
	case Published, Cancelled:
		return true
	case Draft:
		return byAdmin
	case Deleted:
	}
	return false
}

// Sells returns nil when tickets are sold at that time, and else the first reason
// why not.
func (e Event) Sells(now time.Time) error {
	switch {
	case !e.Visible(false):
		return ErrNotFound
	case e.Status == Cancelled:
		return ErrCancelled
	case !now.Before(e.StartsAt):
		return ErrStarted
	case e.SalesStartAt != nil && now.Before(*e.SalesStartAt),
		e.SalesEndAt != nil && !now.Before(*e.SalesEndAt):
		return ErrNotOnSale
	}
	return nil
}

// Identity is what no two events share: its organizer, name and start. It is
// empty for a deleted one, which keeps it from nobody.
func (e Event) Identity() string {
	if e.Status == Deleted {
		return ""
	}
	return e.OrganizerID + "\n" + e.StartsAt.UTC().Format(time.RFC3339Nano) + "\n" + e.Name
}

// Public returns what clients see of the event.
func (e Event) Public() eventapi.Event {
	return eventapi.Event{
		ID: e.ID, Name: e.Name,
		Description: text(e.Description), Category: text(e.Category), Venue: text(e.Venue),
		StartsAt: contract.At(e.StartsAt), EndsAt: contract.At(e.EndsAt), Timezone: e.Timezone,
		Capacity: e.Seats.Capacity, Available: e.Seats.Available, Price: e.Price, MaxPerUser: e.MaxPerUser,
		SalesStartAt: moment(e.SalesStartAt), SalesEndAt: moment(e.SalesEndAt),
		CancellationCutoffHours: e.CancellationCutoffHours,
		Status:                  string(e.Status), OrganizerID: e.OrganizerID, Version: e.Version,
		CreatedAt: contract.At(e.CreatedAt), UpdatedAt: contract.At(e.UpdatedAt),
	}
}

// versioned is Public with the seats' version.
func (e Event) versioned() eventapi.Versioned {
	return eventapi.Versioned{Event: e.Public(), SeatsVersion: e.Seats.Version}
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(t *time.Time) *contract.Time {
	if t == nil {
		return nil
	}
	m := contract.At(*t)
	return &m
}

// instant is a time as stores keep it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
