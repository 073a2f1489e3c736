package event

import (
	"fmt"
	"slices"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// Status is the status of an event.
type Status string

// The statuses of an event. A deleted event is invisible to all clients. Its document
// stays at least until its last fact has been published.
const (
	Draft     Status = eventapi.StatusDraft
	Published Status = eventapi.StatusPublished
	Cancelled Status = eventapi.StatusCancelled
	Deleted   Status = "deleted"
)

// ParseStatus returns the status with the given name. It does not accept Deleted, which
// clients cannot ask for.
func ParseStatus(s string) (Status, error) {
	switch status := Status(s); status {
	case Draft, Published, Cancelled:
		return status, nil
	case Deleted:
	}
	return "", fmt.Errorf("unknown event status %q", s)
}

// transition is a permitted change of status.
type transition struct {
	from, to Status
	// mustBeUnbooked reports whether the change is refused while seats are committed.
	mustBeUnbooked bool
}

// transitions returns all permitted changes of status.
func transitions() []transition {
	return []transition{
		{from: Draft, to: Published},
		{from: Published, to: Draft, mustBeUnbooked: true},
		{from: Draft, to: Cancelled},
		{from: Published, to: Cancelled},
		{from: Draft, to: Deleted, mustBeUnbooked: true},
		{from: Published, to: Deleted, mustBeUnbooked: true},
		{from: Cancelled, to: Deleted, mustBeUnbooked: true},
	}
}

// Definition is the part of an event that its organizer edits. An optional field that is
// not set is the empty string or a nil pointer.
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

// Event is an event for which tickets are sold: its definition, its status and its seats.
// Moving seats changes only the field Seats.
type Event struct {
	ID          string
	OrganizerID string
	Definition
	Status  Status
	Version int64 // starts at 1, raised by each change of the definition or the status
	Seats   Seats
	Opening Opening // of the capacity log
	// Fingerprint is a hash of the request that created the event.
	Fingerprint string
	// ChangeIDs are the ids of the latest changes, in the order of the changes. There are
	// at most maxChangeIDs.
	ChangeIDs []string
	// CancelledLive is the Seats.Live at the time when the event was cancelled: the number
	// of bookings that have to be cancelled with it. It is 0 until then.
	CancelledLive int64
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// setStatus changes the status. It returns ErrCancelled if the event is cancelled, which
// is final except for a deletion. It returns ErrHasBookings if seats are committed and
// the transition does not allow that.
func (e *Event) setStatus(to Status) error {
	table := transitions()
	i := slices.IndexFunc(table, func(t transition) bool { return t.from == e.Status && t.to == to })
	switch {
	case i < 0 && e.Status == Cancelled:
		return ErrCancelled
	case i < 0:
		return fmt.Errorf("event %s: no transition from %s to %s", e.ID, e.Status, to)
	case table[i].mustBeUnbooked && e.Seats.Committed() > 0:
		return ErrHasBookings
	}
	if to == Cancelled {
		e.CancelledLive = e.Seats.Live
	}
	e.Status = to
	return nil
}

// maxChangeIDs limits the ids in Event.ChangeIDs. A retry of a change is not recognised
// any more once this many other changes have followed.
const maxChangeIDs = 32

// recordChange records a change of the definition or the status.
func (e *Event) recordChange(id string, now time.Time) {
	e.Version++
	e.UpdatedAt = now
	ids := append(slices.Clone(e.ChangeIDs), id)
	e.ChangeIDs = ids[max(0, len(ids)-maxChangeIDs):]
}

// hasChange reports whether a change with this id is among the latest ones.
func (e Event) hasChange(id string) bool { return slices.Contains(e.ChangeIDs, id) }

// Visible reports whether a client may see the event. Only admins see drafts.
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

// checkOnSale returns nil if tickets are on sale at the given time, and otherwise the
// refusal that applies first.
func (e Event) checkOnSale(now time.Time) error {
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

// Identity returns a string that is unique to the event. It consists of the organizer,
// the start and the name. It is empty for a deleted event, so that a new event can reuse
// the name and the start.
func (e Event) Identity() string {
	if e.Status == Deleted {
		return ""
	}
	return e.OrganizerID + "\n" + e.StartsAt.UTC().Format(time.RFC3339Nano) + "\n" + e.Name
}

// Public returns the event as clients see it, and as facts announce it.
func (e Event) Public() eventapi.Event {
	return eventapi.Event{
		ID: e.ID, Name: e.Name,
		Description: optionalText(e.Description), Category: optionalText(e.Category), Venue: optionalText(e.Venue),
		StartsAt: contract.At(e.StartsAt), EndsAt: contract.At(e.EndsAt), Timezone: e.Timezone,
		Capacity: e.Seats.Capacity, Available: e.Seats.Available, Price: e.Price, MaxPerUser: e.MaxPerUser,
		SalesStartAt: optionalTime(e.SalesStartAt), SalesEndAt: optionalTime(e.SalesEndAt),
		CancellationCutoffHours: e.CancellationCutoffHours,
		Status:                  string(e.Status), OrganizerID: e.OrganizerID, Version: e.Version,
		CreatedAt: contract.At(e.CreatedAt), UpdatedAt: contract.At(e.UpdatedAt),
	}
}

// versioned returns Public with the version of the seats.
func (e Event) versioned() eventapi.Versioned {
	return eventapi.Versioned{Event: e.Public(), SeatsVersion: e.Seats.Version}
}

func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalTime(t *time.Time) *contract.Time {
	if t == nil {
		return nil
	}
	m := contract.At(*t)
	return &m
}

// instant returns t in UTC and with millisecond precision, as stores keep it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
