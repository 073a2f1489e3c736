package bookingapi

import "boxoffice/shared/contract"

// The values of Booking.Status.
const (
	StatusPending   = "pending"
	StatusConfirmed = "confirmed"
	StatusCancelled = "cancelled"
	StatusExpired   = "expired"
)

// The values of Booking.CancelReason.
const (
	CancelledByUser    = "user"
	CancelledByAdmin   = "admin"
	CancelledWithEvent = "event_cancelled"
)

// Booking is a booking as clients see it.
type Booking struct {
	ID           string         `json:"id"`
	Code         string         `json:"code"` // short code that can be read aloud
	EventID      string         `json:"eventId"`
	UserID       string         `json:"userId"`
	Quantity     int64          `json:"quantity"`
	TotalPrice   contract.Money `json:"totalPrice"`
	Status       string         `json:"status"`
	ExpiresAt    contract.Time  `json:"expiresAt"`
	CreatedAt    contract.Time  `json:"createdAt"`
	UpdatedAt    contract.Time  `json:"updatedAt"`
	ConfirmedAt  *contract.Time `json:"confirmedAt,omitempty"`
	CancelledAt  *contract.Time `json:"cancelledAt,omitempty"`
	CancelReason string         `json:"cancelReason,omitempty"`
}

// CreateRequest is the request of CreateBooking.
type CreateRequest struct {
	// BookingID is the id of the new booking. The caller generates one for each client
	// request, and sends the same one in every retry. It is ignored if there is an
	// IdempotencyKey.
	BookingID string `json:"bookingId"`
	// IdempotencyKey is the client's key, if it sent one. The booking's id is then
	// derived from the key and the user.
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	UserID         string `json:"userId"`
	EventID        string `json:"eventId"`
	Quantity       int64  `json:"quantity"`
}

// Created is the response of CreateBooking.
type Created struct {
	// Booking is the booking as it was created, even if it has changed since.
	Booking Booking `json:"booking"`
	// Replayed means that an earlier request with the same key created the booking.
	Replayed bool `json:"replayed,omitempty"`
}

// GetRequest is the request of GetBooking. Unless the calling user owns the booking or
// is an admin, it is refused with booking.not_found.
type GetRequest struct {
	BookingID string `json:"bookingId"`
	UserID    string `json:"userId"`            // the calling user
	ByAdmin   bool   `json:"byAdmin,omitempty"` // the calling user is an admin
}

// ListRequest is the request of ListBookings. An empty field does not restrict the
// list. Unless the calling user is an admin, the gateway sets UserID to that user.
type ListRequest struct {
	contract.PageRequest
	UserID  string         `json:"userId,omitempty"`
	EventID string         `json:"eventId,omitempty"`
	Status  string         `json:"status,omitempty"`
	From    *contract.Time `json:"from,omitempty"`  // lower bound of createdAt, inclusive
	To      *contract.Time `json:"to,omitempty"`    // upper bound of createdAt, exclusive
	Count   bool           `json:"count,omitempty"` // whether to return the total
}

// ConfirmRequest is the request of ConfirmBooking.
type ConfirmRequest struct {
	BookingID        string  `json:"bookingId"`
	UserID           string  `json:"userId"`
	ByAdmin          bool    `json:"byAdmin,omitempty"`
	PaymentReference *string `json:"paymentReference,omitempty"`
}

// CancelRequest is the request of CancelBooking.
type CancelRequest = GetRequest

// SettleRequest is the request of SettleHolds for one hold.
type SettleRequest struct {
	HoldID string `json:"holdId"`
}

// Settlement is the answer to a successful SettleRequest.
type Settlement struct {
	Live bool `json:"live"` // a pending or confirmed booking uses the hold
	// Confirmed reports whether the booking was confirmed with this hold. If it was and is
	// not live, it was cancelled afterwards.
	Confirmed bool `json:"confirmed,omitempty"`
}

// ReconcileRequest is the request of ReconcileBookings.
type ReconcileRequest struct {
	EventID string `json:"eventId"`
	Limit   int    `json:"limit"` // from 1 to MaxReconcile
	// Cursor is the Next of the previous page. It is empty for the first page.
	Cursor string `json:"cursor,omitempty"`
}

// ReconcilePage is the response of ReconcileBookings.
type ReconcilePage struct {
	Bookings []LiveBooking `json:"bookings"`
	// Next is the Cursor of the next page. It is empty on the last page.
	Next string `json:"next,omitempty"`
}

// LiveBooking is a pending or confirmed booking, as far as its hold is concerned.
type LiveBooking struct {
	BookingID string `json:"bookingId"`
	HoldID    string `json:"holdId"`
	Quantity  int64  `json:"quantity"`
	Status    string `json:"status"`
}
