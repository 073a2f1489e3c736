package mongoevents

import (
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/shared/mongodb"
)

// eventDocument is an event with its seats and its outbox. WriteSeats sets only fields of
// the seats. WriteDefinition sets all fields except the id, the marks, the opening entry and
// the outbox, to which it adds facts.
type eventDocument struct {
	ID          string             `bson:"_id"`
	OrganizerID string             `bson:"organizerId"`
	Definition  definitionDocument `bson:",inline"`
	CreatedAt   time.Time          `bson:"createdAt"`
	Fingerprint string             `bson:"fingerprint"`
	Seats       seatsDocument      `bson:"seats"`
	Opening     openingDocument    `bson:"opening"`
	Derived     derivedDocument    `bson:",inline"`

	Outbox mongodb.OutboxFields `bson:",inline"`
}

// definitionDocument is the fields that change only with the definition or the status.
type definitionDocument struct {
	Name         string        `bson:"name"`
	Description  string        `bson:"description"`
	Category     string        `bson:"category"`
	Venue        string        `bson:"venue"`
	StartsAt     time.Time     `bson:"startsAt"`
	EndsAt       time.Time     `bson:"endsAt"`
	Timezone     string        `bson:"timezone"`
	Price        moneyDocument `bson:"price"`
	MaxPerUser   *int64        `bson:"maxPerUser"`
	SalesStartAt *time.Time    `bson:"salesStartAt"`
	SalesEndAt   *time.Time    `bson:"salesEndAt"`
	CutoffHours  int64         `bson:"cancellationCutoffHours"`
	Status       string        `bson:"status"`
	Version      int64         `bson:"version"`
	UpdatedAt    time.Time     `bson:"updatedAt"`
	ChangeIDs    []string      `bson:"changeIds"`
	// CancelledLive is Seats.Live at the time of the cancellation.
	CancelledLive int64 `bson:"cancelledLive"`
}

type moneyDocument struct {
	Amount   int64  `bson:"amount"`
	Currency string `bson:"currency"`
}

// seatsDocument is an event.Seats. Committed is the sum of Held and Sold; an index uses it.
type seatsDocument struct {
	Capacity  int64                   `bson:"capacity"`
	Available int64                   `bson:"available"`
	Held      int64                   `bson:"held"`
	Sold      int64                   `bson:"sold"`
	Committed int64                   `bson:"committed"`
	Live      int64                   `bson:"live"`
	Version   int64                   `bson:"version"`
	EverSold  bool                    `bson:"everSold"`
	Marks     map[string]holdDocument `bson:"marks"` // never null

	// Entries has the log entries by their ids. It is a document, as Marks is, because the
	// filter of an index can compare it with an empty one.
	Entries map[string]entryDocument `bson:"entries"`
}

// holdDocument is an event.Hold, either as a document of its own or as a mark.
type holdDocument struct {
	ID        string        `bson:"_id"`
	EventID   string        `bson:"eventId"`
	UserID    string        `bson:"userId"`
	Quantity  int64         `bson:"quantity"`
	UnitPrice moneyDocument `bson:"unitPrice"`
	State     string        `bson:"state"`
	Limited   bool          `bson:"limited"`
	ExpiresAt *time.Time    `bson:"expiresAt,omitempty"`
	MovedAt   time.Time     `bson:"movedAt"`
	SettleAt  *time.Time    `bson:"settleAt,omitempty"`
	PurgeAt   *time.Time    `bson:"purgeAt,omitempty"` // for the TTL index
}

// limitDocument is an event.Limit.
type limitDocument struct {
	ID        string           `bson:"_id"`
	EventID   string           `bson:"eventId"`
	UserID    string           `bson:"userId"`
	Used      int64            `bson:"used"`
	By        map[string]int64 `bson:"by"`
	Version   int64            `bson:"version"`
	ClaimedAt *time.Time       `bson:"claimedAt,omitempty"`
	PurgeAt   *time.Time       `bson:"purgeAt,omitempty"` // for the TTL index
}

func toDocument(e event.Event, outbox mongodb.OutboxFields) eventDocument {
	return eventDocument{
		ID: e.ID, OrganizerID: e.OrganizerID, Definition: toDefinition(e), CreatedAt: e.CreatedAt,
		Fingerprint: e.Fingerprint, Seats: toSeats(e.Seats), Opening: toOpening(e.Opening), Derived: toDerived(e), Outbox: outbox,
	}
}

func toDefinition(e event.Event) definitionDocument {
	return definitionDocument{
		Name: e.Name, Description: e.Description, Category: e.Category, Venue: e.Venue,
		StartsAt: e.StartsAt, EndsAt: e.EndsAt, Timezone: e.Timezone, Price: moneyDocument(e.Price),
		MaxPerUser: e.MaxPerUser, SalesStartAt: e.SalesStartAt, SalesEndAt: e.SalesEndAt,
		CutoffHours: e.CancellationCutoffHours,
		Status:      string(e.Status), Version: e.Version, UpdatedAt: e.UpdatedAt,
		ChangeIDs: e.ChangeIDs, CancelledLive: e.CancelledLive,
	}
}

func toSeats(s event.Seats) seatsDocument {
	d := seatsDocument{
		Capacity: s.Capacity, Available: s.Available, Held: s.Held, Sold: s.Sold, Committed: s.Committed(), Live: s.Live,
		Version: s.Version, EverSold: s.EverSold, Marks: make(map[string]holdDocument, len(s.Marks)),
		Entries: toEntries(s.Entries),
	}
	for id, mark := range s.Marks {
		d.Marks[id] = toHold(mark)
	}
	return d
}

func toHold(h event.Hold) holdDocument {
	d := holdDocument{
		ID: h.ID, EventID: h.EventID, UserID: h.UserID, Quantity: h.Quantity, UnitPrice: moneyDocument(h.UnitPrice),
		State: string(h.State), Limited: h.Limited,
		ExpiresAt: mongodb.NullTime(h.ExpiresAt), MovedAt: h.MovedAt, SettleAt: mongodb.NullTime(h.SettleAt),
	}
	if at, ok := h.PurgeAt(); ok {
		d.PurgeAt = &at
	}
	return d
}

func fromDocument(d eventDocument) event.Event {
	def := d.Definition
	return event.Event{
		ID: d.ID, OrganizerID: d.OrganizerID,
		Definition: event.Definition{
			Name: def.Name, Description: def.Description, Category: def.Category, Venue: def.Venue,
			StartsAt: def.StartsAt.UTC(), EndsAt: def.EndsAt.UTC(), Timezone: def.Timezone, Price: contract.Money(def.Price),
			MaxPerUser: def.MaxPerUser, SalesStartAt: inUTC(def.SalesStartAt), SalesEndAt: inUTC(def.SalesEndAt),
			CancellationCutoffHours: def.CutoffHours,
		},
		Status: event.Status(def.Status), Version: def.Version, Seats: fromSeats(d.Seats), Opening: fromOpening(d.Opening),
		Fingerprint: d.Fingerprint, ChangeIDs: def.ChangeIDs, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: def.UpdatedAt.UTC(),
		CancelledLive: def.CancelledLive,
	}
}

func fromSeats(d seatsDocument) event.Seats {
	s := event.Seats{
		Capacity: d.Capacity, Available: d.Available, Held: d.Held, Sold: d.Sold, Live: d.Live,
		Version: d.Version, EverSold: d.EverSold, Entries: fromEntries(d.Entries),
	}
	if len(d.Marks) > 0 {
		s.Marks = make(map[string]event.Hold, len(d.Marks))
	}
	for id, mark := range d.Marks {
		s.Marks[id] = fromHold(mark)
	}
	return s
}

func fromHold(d holdDocument) event.Hold {
	return event.Hold{
		ID: d.ID, EventID: d.EventID, UserID: d.UserID, Quantity: d.Quantity, UnitPrice: contract.Money(d.UnitPrice),
		State: event.HoldState(d.State), Limited: d.Limited,
		ExpiresAt: mongodb.ZeroTime(d.ExpiresAt), MovedAt: d.MovedAt.UTC(), SettleAt: mongodb.ZeroTime(d.SettleAt),
	}
}

func fromLimit(d limitDocument) event.Limit {
	return event.Limit{
		LimitKey: event.LimitKey{EventID: d.EventID, UserID: d.UserID},
		Used:     d.Used, By: d.By, Version: d.Version, ClaimedAt: mongodb.ZeroTime(d.ClaimedAt),
		PurgeAt: mongodb.ZeroTime(d.PurgeAt),
	}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}
