package event

import (
	"strings"
	"time"

	"boxoffice/shared/validation"
)

// The bounds of a definition. The lengths of texts are in code points.
const (
	maxName        = 200
	maxDescription = 5000
	maxVenue       = 200
	maxCategory    = 200
	maxCapacity    = 1_000_000
	maxAmount      = 100_000_000
	maxCutoff      = 8760 // hours, a year
)

// problems collects the invalid fields of a request.
type problems struct{ validation.Problems }

// checkDefinition checks the rules of a definition that do not depend on its earlier
// values.
func (p *problems) checkDefinition(d Definition, capacity int64) {
	if strings.TrimSpace(d.Name) == "" {
		p.Add("name", "required", "is required")
	}
	p.MaxLength("name", d.Name, maxName)
	p.MaxLength("description", d.Description, maxDescription)
	p.MaxLength("category", d.Category, maxCategory)
	p.MaxLength("venue", d.Venue, maxVenue)
	if d.StartsAt.IsZero() {
		p.Add("startsAt", "required", "is required, and must be after 0001-01-01T00:00:00Z")
	}
	switch {
	case d.EndsAt.IsZero():
		p.Add("endsAt", "required", "is required, and must be after 0001-01-01T00:00:00Z")
	case !d.EndsAt.After(d.StartsAt):
		p.Add("endsAt", "invalid", "must be after startsAt")
	}
	if !timezones()[d.Timezone] {
		p.Add("timezone", "invalid", "must be a time zone of the IANA database, for example Europe/Berlin")
	}
	p.Range("capacity", capacity, 1, maxCapacity)
	p.Range("price.amount", d.Price.Amount, 0, maxAmount)
	if !isCurrency(d.Price.Currency) {
		p.Add("price.currency", "invalid", "must be an ISO 4217 currency code, for example EUR")
	}
	if d.MaxPerUser != nil {
		p.Range("maxPerUser", *d.MaxPerUser, 1, maxCapacity)
	}
	if d.SalesStartAt != nil && d.SalesEndAt != nil && !d.SalesEndAt.After(*d.SalesStartAt) {
		p.Add("salesEndAt", "invalid", "must be after salesStartAt")
	}
	p.Range("cancellationCutoffHours", d.CancellationCutoffHours, 0, maxCutoff)
}

// checkPublishable checks that an event that is about to be published starts in the
// future.
func (p *problems) checkPublishable(startsAt, now time.Time) {
	if !now.Before(startsAt) {
		p.Add("startsAt", "in_past", "must be in the future for the event to be published")
	}
}

// parseNewStatus returns the status that a create or an update asks for. It rejects
// cancelled, because only CancelEvent cancels an event.
func (p *problems) parseNewStatus(s string) Status {
	status, err := ParseStatus(s)
	if err != nil || status == Cancelled {
		p.Add("status", "invalid", "must be draft or published")
	}
	return status
}
