package mongobookings

import (
	"context"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// refusedFields holds the fields of a refused record. All others are absent, not null, so
// that none of the partial indexes of bookings contains the record.
type refusedFields struct {
	HoldNumber int64      `bson:"n"`
	State      string     `bson:"state"`
	UpdatedAt  *time.Time `bson:"updatedAt"`
	Revision   int64      `bson:"revision"`
	PurgeAt    *time.Time `bson:"purgeAt"`
}

// refusedDocument is a refused record with its outbox.
type refusedDocument struct {
	ID     string               `bson:"_id"`
	Fields refusedFields        `bson:",inline"`
	Outbox mongodb.OutboxFields `bson:",inline"`
}

// storedFields returns the fields that a write of b sets: refusedFields or fields. A
// refused record that becomes a booking gets all fields, among them the null purgeAt.
func storedFields(b booking.Booking) any {
	if b.State == booking.Refused {
		return toRefusedFields(b)
	}
	return toFields(b)
}

func toRefusedFields(b booking.Booking) refusedFields {
	return refusedFields{
		HoldNumber: b.HoldNumber, State: string(b.State), UpdatedAt: mongodb.NullTime(b.UpdatedAt), Revision: b.Revision,
		PurgeAt: mongodb.NullTime(b.PurgeAt),
	}
}

// newDocument returns the document of a new record.
func newDocument(ctx context.Context, b booking.Booking, facts []booking.Fact) any {
	box := mongodb.NewOutboxFields(ctx, facts)
	if b.State == booking.Refused {
		return refusedDocument{ID: b.ID, Fields: toRefusedFields(b), Outbox: box}
	}
	return document{ID: b.ID, Fields: toFields(b), Outbox: box}
}
