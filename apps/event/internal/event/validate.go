package event

import (
	"strings"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/validation"
)

// Bounds of a definition; texts in code points.
const (
	maxName        = 200
	maxDescription = 5000
	maxVenue       = 200
	maxCategory    = 200
	maxCapacity    = 1_000_000
	maxAmount      = 100_000_000
	maxCutoff      = 8760 // hours: a year
)

// problems is what is wrong with a request of this package.
type problems struct{ validation.Problems }

// definition checks what can be said about an event without knowing what it was
// before.
func (p *problems) definition(d Definition, capacity int64) {
	if strings.TrimSpace(d.Name) == "" {
		p.Add("name", "required", "is required")
	}
	p.MaxLength("name", d.Name, maxName)
	p.MaxLength("description", d.Description, maxDescription)
	p.MaxLength("category", d.Category, maxCategory)
	p.MaxLength("venue", d.Venue, maxVenue)
	if d.StartsAt.IsZero() {
		p.Add("startsAt", "required", "is required")
	}
	switch {
	case d.EndsAt.IsZero():
		p.Add("endsAt", "required", "is required")
	case !d.EndsAt.After(d.StartsAt):
		p.Add("endsAt", "invalid", "must be after startsAt")
	}
	if !validZone(d.Timezone) {
		p.Add("timezone", "invalid", "is no time zone of the IANA database")
	}
	p.Range("capacity", capacity, 1, maxCapacity)
	p.Range("price.amount", d.Price.Amount, 0, maxAmount)
	if !validCurrency(d.Price.Currency) {
		p.Add("price.currency", "invalid", "is no currency of ISO 4217")
	}
	if d.MaxPerUser != nil {
		p.Range("maxPerUser", *d.MaxPerUser, 1, maxCapacity)
	}
	if d.SalesStartAt != nil && d.SalesEndAt != nil && !d.SalesEndAt.After(*d.SalesStartAt) {
		p.Add("salesEndAt", "invalid", "must be after salesStartAt")
	}
	p.Range("cancellationCutoffHours", d.CancellationCutoffHours, 0, maxCutoff)
}

// validZone asks the database of time zones. "Local" is whatever the machine is
// set to, so it is no answer.
func validZone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// newEvent makes an event of what an admin asks for. The error lists every field
// that is wrong.
func newEvent(req eventapi.CreateRequest, now time.Time) (Event, error) {
	var p problems
	p.ID("eventId", req.EventID)
	p.ID("organizerId", req.OrganizerID)
	in := req.Event
	e := Event{
		ID: req.EventID, OrganizerID: req.OrganizerID, Status: Published, Version: 1,
		Definition: Definition{
			Name: in.Name, Description: or(in.Description, ""), Category: or(in.Category, ""), Venue: or(in.Venue, ""),
			StartsAt: instant(in.StartsAt.Time), EndsAt: instant(in.EndsAt.Time),
			Timezone: or(in.Timezone, "UTC"), Price: or(in.Price, contract.Money{Currency: "EUR"}),
			MaxPerUser: in.MaxPerUser, SalesStartAt: inner(in.SalesStartAt), SalesEndAt: inner(in.SalesEndAt),
			CancellationCutoffHours: or(in.CancellationCutoffHours, 0),
		},
		Seats:     Seats{Capacity: in.Capacity, Available: in.Capacity, Version: 1},
		CreatedAt: now, UpdatedAt: now,
	}
	p.definition(e.Definition, in.Capacity)
	if in.Status != nil {
		e.Status = p.status(*in.Status)
	}
	if e.Status == Published && !e.StartsAt.IsZero() && !now.Before(e.StartsAt) {
		p.Add("startsAt", "in_past", "must be in the future to be published")
	}
	return e, p.Err()
}

// maxHoldID is long enough for a booking's id, a number and a hash.
const maxHoldID = 3 * validation.MaxID

// status reads a status that may be asked for: an event is cancelled by an
// operation of its own.
func (p *problems) status(s string) Status {
	status, err := ParseStatus(s)
	if err != nil || status == Cancelled {
		p.Add("status", "invalid", "must be draft or published")
	}
	return status
}

// validReserves checks what many have in common; each is checked by itself, too.
func validReserves(reqs []eventapi.ReserveRequest) error {
	var p problems
	holds := map[string]bool{}
	for _, req := range reqs {
		if holds[req.HoldID] {
			p.Add("holdId", "duplicate", "is named twice")
		}
		holds[req.HoldID] = true
		if req.EventID != reqs[0].EventID {
			p.Add("eventId", "mixed", "is not the same in all")
		}
	}
	if len(reqs) == 0 || len(reqs) > eventapi.MaxReserves {
		p.Add("data", "out_of_range", "must have between 1 and %d", eventapi.MaxReserves)
	}
	return p.Err()
}

func validReserve(req eventapi.ReserveRequest) error {
	var p problems
	p.hold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	if req.ExpiresAt.IsZero() {
		p.Add("expiresAt", "required", "is required")
	}
	return p.Err()
}

func validRelease(req eventapi.ReleaseRequest) error {
	var p problems
	p.hold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	return p.Err()
}

func (p *problems) hold(holdID, eventID, userID string, quantity int64) {
	// It becomes a key of maps in documents: no dot, no dollar.
	if !validation.IsName(holdID) || len(holdID) > maxHoldID {
		p.Add("holdId", "invalid", "is not a hold's id")
	}
	p.ID("eventId", eventID)
	p.ID("userId", userID)
	p.Range("quantity", quantity, 1, maxCapacity)
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func inner(t *contract.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := instant(t.Time)
	return &at
}
