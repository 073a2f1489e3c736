package mongobookings

import (
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/mongodb"
)

// fields holds the fields of a document that ReplaceBooking sets. Zero times are stored
// as null.
type fields struct {
	HoldNumber       int64       `bson:"n"`
	State            string      `bson:"state"`
	HoldID           string      `bson:"holdId"`
	Fingerprint      string      `bson:"fingerprint"`
	EventID          string      `bson:"eventId"`
	UserID           string      `bson:"userId"`
	Quantity         int64       `bson:"quantity"`
	UnitPrice        money       `bson:"unitPrice"`
	ExpiresAt        *time.Time  `bson:"expiresAt"`
	CreatedAt        *time.Time  `bson:"createdAt"`
	UpdatedAt        *time.Time  `bson:"updatedAt"`
	Revision         int64       `bson:"revision"`
	ConfirmedAt      *time.Time  `bson:"confirmedAt"`
	PaymentReference string      `bson:"paymentReference"`
	CancelledAt      *time.Time  `bson:"cancelledAt"`
	CancelReason     string      `bson:"cancelReason"`
	PurgeAt          *time.Time  `bson:"purgeAt"` // MongoDB may delete the document from then on
	Obligations      obligations `bson:",inline"`
}

// obligations holds the fields that change with the discharge of obligations. They are absent
// in a booking without obligations, so that they are not in the index of the sweep.
type obligations struct {
	Owes        []obligation `bson:"owes,omitempty"`
	DischargeAt *time.Time   `bson:"dischargeAt,omitempty"`
}

type obligation struct {
	HoldID string `bson:"holdId"`
	Cause  string `bson:"cause"`
}

type money struct {
	Amount   int64  `bson:"amount"`
	Currency string `bson:"currency"`
}

// document is a booking record with its outbox.
type document struct {
	ID     string               `bson:"_id"`
	Fields fields               `bson:",inline"`
	Outbox mongodb.OutboxFields `bson:",inline"`
}

// toFields returns the stored fields of b.
func toFields(b booking.Booking) fields {
	return fields{
		HoldNumber: b.HoldNumber, State: string(b.State), HoldID: b.HoldID, Fingerprint: b.Fingerprint,
		EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity, UnitPrice: money(b.UnitPrice),
		ExpiresAt: mongodb.NullTime(b.ExpiresAt), CreatedAt: mongodb.NullTime(b.CreatedAt), UpdatedAt: mongodb.NullTime(b.UpdatedAt), Revision: b.Revision,
		ConfirmedAt: mongodb.NullTime(b.ConfirmedAt), PaymentReference: b.PaymentReference,
		CancelledAt: mongodb.NullTime(b.CancelledAt), CancelReason: string(b.CancelReason),
		PurgeAt: mongodb.NullTime(b.PurgeAt), Obligations: toObligations(b),
	}
}

func toObligations(b booking.Booking) obligations {
	o := obligations{DischargeAt: mongodb.NullTime(b.DischargeAt)}
	for _, one := range b.Owes.List() {
		o.Owes = append(o.Owes, obligation(one))
	}
	return o
}

// fromObligations returns the obligations in o. It ignores surplus ones, which no version of
// this app stores.
func fromObligations(o obligations) booking.Obligations {
	var owes booking.Obligations
	for i := range min(len(o.Owes), len(owes)) {
		owes[i] = booking.Obligation(o.Owes[i])
	}
	return owes
}

// fromDocument returns the booking in d.
func fromDocument(d document) booking.Booking {
	f := d.Fields
	return booking.Booking{
		ID: d.ID, HoldNumber: f.HoldNumber, State: booking.State(f.State), HoldID: f.HoldID, Fingerprint: f.Fingerprint,
		EventID: f.EventID, UserID: f.UserID, Quantity: f.Quantity, UnitPrice: contract.Money(f.UnitPrice),
		ExpiresAt: mongodb.ZeroTime(f.ExpiresAt), CreatedAt: mongodb.ZeroTime(f.CreatedAt), UpdatedAt: mongodb.ZeroTime(f.UpdatedAt), Revision: f.Revision,
		ConfirmedAt: mongodb.ZeroTime(f.ConfirmedAt), PaymentReference: f.PaymentReference,
		CancelledAt: mongodb.ZeroTime(f.CancelledAt), CancelReason: booking.CancelReason(f.CancelReason),
		PurgeAt: mongodb.ZeroTime(f.PurgeAt), Owes: fromObligations(f.Obligations), DischargeAt: mongodb.ZeroTime(f.Obligations.DischargeAt),
	}
}
