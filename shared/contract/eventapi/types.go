package eventapi

import (
	"fmt"

	"boxoffice/shared/contract"
)

// Statuses of an event.
const (
	StatusDraft     = "draft"
	StatusPublished = "published"
	StatusCancelled = "cancelled"
)

// Orders of a list.
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
	Version                 int64          `json:"version"` // counts changes of the definition, not sales
	CreatedAt               contract.Time  `json:"createdAt"`
	UpdatedAt               contract.Time  `json:"updatedAt"`
}

// Versioned is an event with all that changes when it does.
type Versioned struct {
	Event        Event `json:"event"`
	SeatsVersion int64 `json:"seatsVersion"` // counts moves of seats, and never goes back
}

// ETag is the event's, in quotes.
func (v Versioned) ETag() string { return fmt.Sprintf(`"%d-%d"`, v.Event.Version, v.SeatsVersion) }

// Definition is what an admin says about a new event. What is absent gets its
// default.
type Definition struct {
	Name                    string          `json:"name"`
	Description             *string         `json:"description,omitempty"`
	Category                *string         `json:"category,omitempty"`
	Venue                   *string         `json:"venue,omitempty"`
	StartsAt                contract.Time   `json:"startsAt"`
	EndsAt                  contract.Time   `json:"endsAt"`
	Timezone                *string         `json:"timezone,omitempty"` // UTC
	Capacity                int64           `json:"capacity"`
	Price                   *contract.Money `json:"price,omitempty"` // nothing, EUR
	MaxPerUser              *int64          `json:"maxPerUser,omitempty"`
	SalesStartAt            *contract.Time  `json:"salesStartAt,omitempty"`
	SalesEndAt              *contract.Time  `json:"salesEndAt,omitempty"`
	CancellationCutoffHours *int64          `json:"cancellationCutoffHours,omitempty"` // 0
	Status                  *string         `json:"status,omitempty"`                  // published
}

// CreateRequest asks for an event.
type CreateRequest struct {
	// EventID is chosen by the caller, anew for each event, and the same when the
	// request is repeated.
	EventID     string     `json:"eventId"`
	OrganizerID string     `json:"organizerId"` // the admin who asks
	Event       Definition `json:"event"`
}

// Changes are what an admin changes of an event's definition.
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

// UpdateRequest changes an event.
type UpdateRequest struct {
	EventID string `json:"eventId"`
	// Version is the one that the change was made for; any when it is 0.
	Version int64   `json:"version,omitempty"`
	Changes Changes `json:"changes"`
}

// GetRequest asks for an event.
type GetRequest struct {
	EventID string `json:"eventId"`
	ByAdmin bool   `json:"byAdmin,omitempty"` // who may see drafts
}

// ListRequest asks for events. What is empty does not narrow the list.
type ListRequest struct {
	contract.PageRequest
	ByAdmin     bool           `json:"byAdmin,omitempty"`
	OrganizerID string         `json:"organizerId,omitempty"`
	Category    string         `json:"category,omitempty"`
	Status      string         `json:"status,omitempty"`
	From        *contract.Time `json:"from,omitempty"` // startsAt, inclusive
	To          *contract.Time `json:"to,omitempty"`   // startsAt, exclusive
	Sort        string         `json:"sort,omitempty"` // SortStartsAt
}

// Availability is how many seats an event has. Its version never goes back.
type Availability struct {
	EventID   string `json:"eventId"`
	Capacity  int64  `json:"capacity"`
	Available int64  `json:"available"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
	Version   int64  `json:"version"`
}

// ReserveRequest asks for seats.
type ReserveRequest struct {
	HoldID    string        `json:"holdId"`
	EventID   string        `json:"eventId"`
	UserID    string        `json:"userId"`
	Quantity  int64         `json:"quantity"`
	ExpiresAt contract.Time `json:"expiresAt"` // when the booking lapses unless it is confirmed
}

// Reservation says that the seats are counted, and what one costs: what it cost
// when the hold was taken.
type Reservation struct {
	UnitPrice contract.Money `json:"unitPrice"`
}

// ReleaseRequest gives seats back.
type ReleaseRequest struct {
	HoldID   string `json:"holdId"`
	EventID  string `json:"eventId"`
	UserID   string `json:"userId"`
	Quantity int64  `json:"quantity"`
}
