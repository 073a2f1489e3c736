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
	// Cancellation is the progress of the cancellation. Only admins see it, and only in a
	// cancelled event.
	Cancellation *Cancellation `json:"cancellation,omitempty"`
}

// Cancellation is the progress of the cancellation of an event's bookings.
type Cancellation struct {
	Total int64 `json:"total"` // the bookings that were live when the event was cancelled
	Done  int64 `json:"done"`  // those of them whose seats are free again
}

// Versioned is an event together with the version of its seats.
type Versioned struct {
	Event        Event `json:"event"`
	SeatsVersion int64 `json:"seatsVersion"` // raised by every write of the seats or the definition; it never decreases
	// CopiedAt is when the event was copied into a cache. It is nil unless GetEvent returned
	// the copy because the database did not answer.
	CopiedAt *contract.Time `json:"copiedAt,omitempty"`
}

// ETag returns the event's entity tag, in quotes (RFC 9110, section 8.8.3).
func (v Versioned) ETag() string { return fmt.Sprintf(`"%d-%d"`, v.Event.Version, v.SeatsVersion) }

// ParseETag returns the event's version in an entity tag that ETag returned. It reports
// false for any other tag, and for a weak one.
func ParseETag(tag string) (version int64, ok bool) {
	var v Versioned
	n, err := fmt.Sscanf(tag, `"%d-%d"`, &v.Event.Version, &v.SeatsVersion)
	return v.Event.Version, err == nil && n == 2 && v.ETag() == tag
}

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
	// EventID is the id of the new event. The caller generates one for each client
	// request, and sends the same one in every retry. It is ignored if there is an
	// IdempotencyKey.
	EventID string `json:"eventId"`
	// IdempotencyKey is the client's key, if it sent one. The event's id is then derived
	// from the key and the organizer.
	IdempotencyKey string     `json:"idempotencyKey,omitempty"`
	OrganizerID    string     `json:"organizerId"` // the admin who creates the event
	Event          Definition `json:"event"`
}

// Created is the response of CreateEvent: the event as it was created, even if it has
// changed since.
type Created struct {
	Versioned
	// Replayed means that an earlier request with the same key created the event.
	Replayed bool `json:"replayed,omitempty"`
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

// UpdateRequest is the request of UpdateEvent.
type UpdateRequest struct {
	EventID string `json:"eventId"`
	// ChangeID identifies the change. The caller generates one for each client request,
	// and sends the same one in every retry, so that a retry is recognised.
	ChangeID string `json:"changeId"`
	// Versions are the versions of the event on which the change may be based. Nil means
	// any version. An empty list, which matches no version, is possible too.
	Versions []int64 `json:"versions,omitzero"`
	Changes  Changes `json:"changes"`
}

// ChangeRequest is the request of CancelEvent and of DeleteEvent.
type ChangeRequest struct {
	EventID  string `json:"eventId"`
	ChangeID string `json:"changeId"` // as in UpdateRequest
}

// GetRequest identifies an event.
type GetRequest struct {
	EventID string `json:"eventId"`
	ByAdmin bool   `json:"byAdmin,omitempty"` // whether the caller may see drafts
}

// ListRequest is the request of ListEvents and of ListOrganizerEvents. Empty fields do not
// restrict the list.
type ListRequest struct {
	contract.PageRequest
	ByAdmin     bool           `json:"byAdmin,omitempty"`
	OrganizerID string         `json:"organizerId,omitempty"` // required by ListOrganizerEvents
	Category    string         `json:"category,omitempty"`
	Status      string         `json:"status,omitempty"`
	From        *contract.Time `json:"from,omitempty"` // lower bound of startsAt, inclusive
	To          *contract.Time `json:"to,omitempty"`   // upper bound of startsAt, exclusive
	Sort        string         `json:"sort,omitempty"` // default: SortStartsAt
}

// SearchRequest is the request of SearchEvents.
type SearchRequest struct {
	contract.PageRequest
	ByAdmin bool `json:"byAdmin,omitempty"` // whether the caller may see drafts
	// Term contains the words to find. It has at most 200 code points and 20 different
	// words. Punctuation and symbols separate words and have no other meaning.
	Term string `json:"term"`
}

// Availability are the seat counters of an event as clients see them.
type Availability struct {
	EventID   string `json:"eventId"`
	Capacity  int64  `json:"capacity"`
	Available int64  `json:"available"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
	Version   int64  `json:"version"` // raised by every write of the seats or the definition; it never decreases
}

// Seats is the response of GetAvailability: the seat counters of an event, and its status,
// which tells a client that watches the counters when they have become final.
type Seats struct {
	Availability
	Status string `json:"status"`
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

// ReleaseRequest is the request of ReleaseSeats for one hold.
type ReleaseRequest struct {
	HoldID   string `json:"holdId"`
	EventID  string `json:"eventId"`
	UserID   string `json:"userId"`
	Quantity int64  `json:"quantity"`
	// Cause is the cause of the entry in the capacity log: released, expired or cancelled.
	// Absent means released.
	Cause string `json:"cause,omitempty"`
	// WasConfirmed reports whether a confirmed booking used the hold. The event then counts
	// as one that has sold tickets, even if the hold was never sold.
	WasConfirmed bool `json:"wasConfirmed,omitempty"`
}

// SellRequest is the request of SellSeats for one hold.
type SellRequest struct {
	HoldID  string `json:"holdId"`
	EventID string `json:"eventId"`
}
