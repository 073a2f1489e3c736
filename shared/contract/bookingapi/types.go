package bookingapi

import "boxoffice/shared/contract"

// Statuses of a booking.
const (
	StatusPending   = "pending"
	StatusConfirmed = "confirmed"
	StatusCancelled = "cancelled"
	StatusExpired   = "expired"
)

// Reasons of a cancellation.
const (
	CancelledByUser    = "user"
	CancelledByAdmin   = "admin"
	CancelledWithEvent = "event_cancelled"
)

// Booking is a booking as clients see it.
type Booking struct {
	ID           string         `json:"id"`
	Code         string         `json:"code"` // short and speakable
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

// CreateRequest asks for seats of an event.
type CreateRequest struct {
	// BookingID is chosen by the caller, anew for each request of a client, and
	// the same when the request is repeated. Under an IdempotencyKey it does not
	// count: the key and the user make the id.
	BookingID      string `json:"bookingId"`
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	UserID         string `json:"userId"`
	EventID        string `json:"eventId"`
	Quantity       int64  `json:"quantity"`
}

// Created is a booking as it was first answered.
type Created struct {
	Booking  Booking `json:"booking"`
	Replayed bool    `json:"replayed,omitempty"` // under its key it was there already
}

// GetRequest asks for a booking. To others than its owner and admins it does
// not exist.
type GetRequest struct {
	BookingID string `json:"bookingId"`
	UserID    string `json:"userId"`            // who asks
	ByAdmin   bool   `json:"byAdmin,omitempty"` // who may see any
}

// ListRequest asks for bookings. What is empty does not narrow the list; the
// gateway sets UserID for everybody but admins.
type ListRequest struct {
	contract.PageRequest
	UserID  string         `json:"userId,omitempty"`
	EventID string         `json:"eventId,omitempty"`
	Status  string         `json:"status,omitempty"`
	From    *contract.Time `json:"from,omitempty"`  // createdAt, inclusive
	To      *contract.Time `json:"to,omitempty"`    // createdAt, exclusive
	Count   bool           `json:"count,omitempty"` // asks for the total
}

// ConfirmRequest makes a booking final.
type ConfirmRequest struct {
	BookingID        string  `json:"bookingId"`
	UserID           string  `json:"userId"`
	ByAdmin          bool    `json:"byAdmin,omitempty"`
	PaymentReference *string `json:"paymentReference,omitempty"`
}

// CancelRequest ends a booking.
type CancelRequest = GetRequest

// SettleRequest asks about a hold.
type SettleRequest struct {
	HoldID string `json:"holdId"`
}

// Settlement says what stands behind a hold.
type Settlement struct {
	Live      bool `json:"live"`
	Confirmed bool `json:"confirmed,omitempty"` // live, and its seats are sold
}
