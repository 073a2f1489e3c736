package eventapi

import (
	"fmt"

	"boxoffice/shared/contract"
)

// The statuses of an event.
const (
	StatusDraft     = "draft"
	StatusPublished = "published"
	StatusCancelled = "cancelled"
)

// The orders of a list of events. The minus sign means descending.
const (
	SortStartsAt     = "startsAt"
	SortStartsAtDesc = "-startsAt"
	SortName         = "name"
	SortCreatedAt    = "createdAt"
)

// Event is an event as clients see it.
type Event struct {
	ID                      string         `json:"id"`
	Name                    string         `json:"name"`
	Description             *string        `json:"description"`
	Category                *string        `json:"category"`
	Venue                   *string        `json:"venue"`
	StartsAt                contract.Time  `json:"startsAt"`
	EndsAt                  contract.Time  `json:"endsAt"`
	Timezone                string         `json:"timezone"`
	Capacity                int64          `json:"capacity"`
	Available               int64          `json:"available"`
	Price                   contract.Money `json:"price"`
	MaxPerUser              *int64         `json:"maxPerUser"`
	SalesStartAt            *contract.Time `json:"salesStartAt"`
	SalesEndAt              *contract.Time `json:"salesEndAt"`
	CancellationCutoffHours int64          `json:"cancellationCutoffHours"`
	Status                  string         `json:"status"`
	OrganizerID             string         `json:"organizerId"`
	Version                 int64          `json:"version"` // raised by changes of the definition or status, not by reservations and sales
	CreatedAt               contract.Time  `json:"createdAt"`
	UpdatedAt               contract.Time  `json:"updatedAt"`
}

// Versioned is an event together with the version of its seats.
type Versioned struct {
	Event        Event `json:"event"`
	SeatsVersion int64 `json:"seatsVersion"` // raised by every write of the seats or the definition; it never decreases
}

// ETag returns the event's entity tag, in quotes (RFC 9110, section 8.8.3).
func (v Versioned) ETag() string { return fmt.Sprintf(`"%d-%d"`, v.Event.Version, v.SeatsVersion) }

// Definition is the definition of a new event. Absent fields get their defaults.
type Definition struct {
	Name                    string          `json:"name"`
	Description             *string         `json:"description,omitempty"`
	Category                *string         `json:"category,omitempty"`
	Venue                   *string         `json:"venue,omitempty"`
	StartsAt                contract.Time   `json:"startsAt"`
	EndsAt                  contract.Time   `json:"endsAt"`
	Timezone                *string         `json:"timezone,omitempty"` // default: UTC
	Capacity                int64           `json:"capacity"`
	Price                   *contract.Money `json:"price,omitempty"` // default: 0 EUR
	MaxPerUser              *int64          `json:"maxPerUser,omitempty"`
	SalesStartAt            *contract.Time  `json:"salesStartAt,omitempty"`
	SalesEndAt              *contract.Time  `json:"salesEndAt,omitempty"`
	CancellationCutoffHours *int64          `json:"cancellationCutoffHours,omitempty"` // default: 0
	Status                  *string         `json:"status,omitempty"`                  // default: published
}

// CreateRequest is the request of CreateEvent.
type CreateRequest struct {
	// EventID is the id of the new event. The caller generates one for each event, and
	// sends the same one in every retry.
	EventID     string     `json:"eventId"`
	OrganizerID string     `json:"organizerId"` // the admin who creates the event
	Event       Definition `json:"event"`
}

// Changes are the fields of an event that an update changes. Absent fields stay unchanged.
type Changes struct {
	Name                    contract.Optional[string]         `json:"name,omitzero"`
	Description             contract.Optional[string]         `json:"description,omitzero"`
	Category                contract.Optional[string]         `json:"category,omitzero"`
	Venue                   contract.Optional[string]         `json:"venue,omitzero"`
	StartsAt                contract.Optional[contract.Time]  `json:"startsAt,omitzero"`
	EndsAt                  contract.Optional[contract.Time]  `json:"endsAt,omitzero"`
	Timezone                contract.Optional[string]         `json:"timezone,omitzero"`
	Capacity                contract.Optional[int64]          `json:"capacity,omitzero"`
	Price                   contract.Optional[contract.Money] `json:"price,omitzero"`
	MaxPerUser              contract.Optional[int64]          `json:"maxPerUser,omitzero"`
	SalesStartAt            contract.Optional[contract.Time]  `json:"salesStartAt,omitzero"`
	SalesEndAt              contract.Optional[contract.Time]  `json:"salesEndAt,omitzero"`
	CancellationCutoffHours contract.Optional[int64]          `json:"cancellationCutoffHours,omitzero"`
	Status                  contract.Optional[string]         `json:"status,omitzero"`
}

// UpdateRequest is a request to change an event.
type UpdateRequest struct {
	EventID string `json:"eventId"`
	// Version is the event's version that the change is based on. Zero means any version.
	Version int64   `json:"version,omitempty"`
	Changes Changes `json:"changes"`
}

// GetRequest identifies an event.
type GetRequest struct {
	EventID string `json:"eventId"`
	ByAdmin bool   `json:"byAdmin,omitempty"` // whether the caller may see drafts
}

// ListRequest is the request of ListEvents. Empty fields do not restrict the list.
type ListRequest struct {
	contract.PageRequest
	ByAdmin     bool           `json:"byAdmin,omitempty"`
	OrganizerID string         `json:"organizerId,omitempty"`
	Category    string         `json:"category,omitempty"`
	Status      string         `json:"status,omitempty"`
	From        *contract.Time `json:"from,omitempty"` // lower bound of startsAt, inclusive
	To          *contract.Time `json:"to,omitempty"`   // upper bound of startsAt, exclusive
	Sort        string         `json:"sort,omitempty"` // default: SortStartsAt
}

// Availability is the response of GetAvailability: the seat counters of an event.
type Availability struct {
	EventID   string `json:"eventId"`
	Capacity  int64  `json:"capacity"`
	Available int64  `json:"available"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
	Version   int64  `json:"version"` // raised by every write of the seats or the definition; it never decreases
}

// ReserveRequest is the request of ReserveSeats for one hold.
type ReserveRequest struct {
	HoldID    string        `json:"holdId"`
	EventID   string        `json:"eventId"`
	UserID    string        `json:"userId"`
	Quantity  int64         `json:"quantity"`
	ExpiresAt contract.Time `json:"expiresAt"` // when the booking expires unless it is confirmed
}

// Reservation is the answer to a successful ReserveRequest. UnitPrice is the price of a
// ticket when the hold was first reserved.
type Reservation struct {
	UnitPrice contract.Money `json:"unitPrice"`
}

// ReleaseRequest is the request of ReleaseSeats.
type ReleaseRequest struct {
	HoldID   string `json:"holdId"`
	EventID  string `json:"eventId"`
	UserID   string `json:"userId"`
	Quantity int64  `json:"quantity"`
}
