package booking

import (
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// CancelReason is the reason why a booking was cancelled.
type CancelReason string

// The reasons for a cancellation.
const (
	ByUser           CancelReason = bookingapi.CancelledByUser
	ByAdmin          CancelReason = bookingapi.CancelledByAdmin
	ByEventCancelled CancelReason = bookingapi.CancelledWithEvent
)

// Booking is a booking record.
type Booking struct {
	ID string
	// HoldNumber is the number of the booking's hold, from 1. In a refused record it
	// is the first valid number. In an expired record it can be greater than the
	// number in HoldID.
	HoldNumber int64
	State      State
	// PurgeAt is the time from which the store may delete a refused record. It is zero in
	// all others.
	PurgeAt time.Time

	// The following fields are empty in a refused record, except UpdatedAt and
	// Revision.

	// HoldID is the id of the booking's hold, or of its last hold if the booking is not
	// live.
	HoldID string
	// Fingerprint is a hash of the request that created the booking.
	Fingerprint      string
	EventID          string
	UserID           string
	Quantity         int64
	UnitPrice        contract.Money
	ExpiresAt        time.Time
	CreatedAt        time.Time
	UpdatedAt        time.Time
	Revision         int64 // 1 on insert, incremented by each change
	ConfirmedAt      time.Time
	PaymentReference string
	CancelledAt      time.Time
	CancelReason     CancelReason

	// Owes are the booking's obligations to the event app.
	Owes Obligations
	// DischargeAt is when a sweep must discharge the obligations. It is zero if there are
	// none.
	DischargeAt time.Time
}

// IsLive reports whether the booking holds seats: whether it is pending or
// confirmed.
func (b Booking) IsLive() bool { return b.State == Pending || b.State == Confirmed }

// moveTo returns the booking in another state, as changed at the given time. It sets the
// obligations that follow from the change.
func (b Booking) moveTo(state State, now time.Time) Booking {
	b.State, b.UpdatedAt = state, now
	b.Revision++
	switch state {
	case Confirmed:
		b.Owes = b.Owes.with(Obligation{b.HoldID, eventapi.CauseSold})
	case Cancelled:
		b.Owes = b.Owes.with(Obligation{b.HoldID, eventapi.CauseCancelled})
	case Expired:
		b.Owes = b.Owes.with(Obligation{b.HoldID, eventapi.CauseExpired})
	case Pending, Refused:
	}
	b.DischargeAt = now.Add(dischargeAfter)
	return b
}

// isDue reports whether the booking's expiry is at or before now.
func (b Booking) isDue(now time.Time) bool { return !now.Before(b.ExpiresAt) }

// Public returns the booking as clients see it.
func (b Booking) Public() bookingapi.Booking {
	return bookingapi.Booking{
		ID: b.ID, Code: publicCode(b.ID), EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity,
		TotalPrice: b.UnitPrice.Times(b.Quantity), Status: string(b.State),
		ExpiresAt: contract.At(b.ExpiresAt), CreatedAt: contract.At(b.CreatedAt), UpdatedAt: contract.At(b.UpdatedAt),
		ConfirmedAt: optionalTime(b.ConfirmedAt), CancelledAt: optionalTime(b.CancelledAt), CancelReason: string(b.CancelReason),
	}
}

// asCreated returns the booking as it was when it was created, regardless of later
// changes.
func (b Booking) asCreated() Booking {
	b.State, b.UpdatedAt = Pending, b.CreatedAt
	b.ConfirmedAt, b.CancelledAt, b.CancelReason, b.PaymentReference = time.Time{}, time.Time{}, "", ""
	return b
}

// optionalTime returns t for the wire, or nil if t is zero.
func optionalTime(t time.Time) *contract.Time {
	if t.IsZero() {
		return nil
	}
	at := contract.At(t)
	return &at
}

// storedTime returns t in UTC, truncated to milliseconds, the precision of the stores.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
