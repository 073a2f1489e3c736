package event

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
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

	maxID = 64
)

// problems collects what is wrong with a request.
type problems []apperr.Field

func (p *problems) add(field, code, format string, args ...any) {
	*p = append(*p, apperr.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// err returns nil when nothing is wrong.
func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	return apperr.InvalidFields(*p...)
}

func (p *problems) text(field, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		p.add(field, "too_long", "has %d characters, at most %d are allowed", n, limit)
	}
}

func (p *problems) within(field string, n, least, most int64) {
	switch {
	case n < least:
		p.add(field, "too_small", "must be at least %d", least)
	case n > most:
		p.add(field, "too_large", "must be at most %d", most)
	}
}

func (p *problems) id(field, id string) {
	switch {
	case id == "":
		p.add(field, "required", "is required")
	case !ValidID(id):
		p.add(field, "invalid", "is not an id")
	}
}

// ValidID reports whether s can be an id: 1-64 of A-Za-z0-9_-.
func ValidID(s string) bool {
	return s != "" && len(s) <= maxID && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}

// definition checks what can be said about an event without knowing what it was
// before.
func (p *problems) definition(d Definition, capacity int64) {
	if strings.TrimSpace(d.Name) == "" {
		p.add("name", "required", "is required")
	}
	p.text("name", d.Name, maxName)
	p.text("description", d.Description, maxDescription)
	p.text("category", d.Category, maxCategory)
	p.text("venue", d.Venue, maxVenue)
	if d.StartsAt.IsZero() {
		p.add("startsAt", "required", "is required")
	}
	switch {
	case d.EndsAt.IsZero():
		p.add("endsAt", "required", "is required")
	case !d.EndsAt.After(d.StartsAt):
		p.add("endsAt", "invalid", "must be after startsAt")
	}
	if !validZone(d.Timezone) {
		p.add("timezone", "invalid", "is no time zone of the IANA database")
	}
	p.within("capacity", capacity, 1, maxCapacity)
	p.within("price.amount", d.Price.Amount, 0, maxAmount)
	if !validCurrency(d.Price.Currency) {
		p.add("price.currency", "invalid", "is no currency of ISO 4217")
	}
	if d.MaxPerUser != nil {
		p.within("maxPerUser", *d.MaxPerUser, 1, maxCapacity)
	}
	if d.SalesStartAt != nil && d.SalesEndAt != nil && !d.SalesEndAt.After(*d.SalesStartAt) {
		p.add("salesEndAt", "invalid", "must be after salesStartAt")
	}
	p.within("cancellationCutoffHours", d.CancellationCutoffHours, 0, maxCutoff)
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
	p.id("eventId", req.EventID)
	p.id("organizerId", req.OrganizerID)
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
		p.add("startsAt", "in_past", "must be in the future to be published")
	}
	return e, p.err()
}

// status reads a status that may be asked for: an event is cancelled by an
// operation of its own.
func (p *problems) status(s string) Status {
	status, err := ParseStatus(s)
	if err != nil || status == Cancelled {
		p.add("status", "invalid", "must be draft or published")
	}
	return status
}

func validReserve(req eventapi.ReserveRequest) error {
	var p problems
	p.hold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	if req.ExpiresAt.IsZero() {
		p.add("expiresAt", "required", "is required")
	}
	return p.err()
}

func validRelease(req eventapi.ReleaseRequest) error {
	var p problems
	p.hold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	return p.err()
}

func (p *problems) hold(holdID, eventID, userID string, quantity int64) {
	// It becomes a key of maps in documents: no dot, no dollar.
	if holdID == "" || len(holdID) > 3*maxID || !ValidID(holdID[:min(len(holdID), maxID)]) || strings.ContainsAny(holdID, ".$\x00") {
		p.add("holdId", "invalid", "is not a hold's id")
	}
	p.id("eventId", eventID)
	p.id("userId", userID)
	p.within("quantity", quantity, 1, maxCapacity)
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
