// Package bookingapi is the contract of the booking app: its operations, their
// requests and responses, and the facts that it publishes.
package bookingapi

import (
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/rpc"
)

// App is the Dapr app id of the booking app.
const App = "booking"

// The operations of the booking app. Each refuses an invalid request with the code
// apperr.Invalid and lists the invalid fields.
var (
	// CreateBooking reserves seats and creates a pending booking. It is idempotent: a
	// repeated request with the same key or booking id gets the first answer again.
	//
	// It refuses with the reasons of eventapi.ReserveSeats, with booking.pending_limit
	// (apperr.Conflict) if the user would have too many tickets in pending bookings, and
	// with idempotency.mismatch (apperr.Unprocessable) if the key was used for a different
	// request. After apperr.Unavailable or apperr.Timeout the booking may or may not
	// exist; repeating the request resolves this.
	CreateBooking = rpc.Op[CreateRequest, Created]{App: App, Method: "booking.create", Timeout: 15 * time.Second}

	// GetBooking returns a booking to its owner or to an admin. It refuses with
	// booking.not_found.
	GetBooking = rpc.Op[GetRequest, Booking]{App: App, Method: "booking.get", Timeout: 10 * time.Second}

	// ListBookings returns a page of bookings, newest first. If Count is set, it also
	// returns the total.
	ListBookings = rpc.Op[ListRequest, contract.Page[Booking]]{App: App, Method: "booking.list", Timeout: 10 * time.Second}

	// ConfirmBooking confirms a booking for its owner or for an admin. It also confirms
	// an expired booking if seats can be reserved again. It is idempotent. It refuses
	// with booking.not_found, booking.not_pending and booking.expired.
	ConfirmBooking = rpc.Op[ConfirmRequest, Booking]{App: App, Method: "booking.confirm", Timeout: 10 * time.Second}

	// CancelBooking cancels a booking for its owner or for an admin. It is idempotent.
	// It refuses with booking.not_found, booking.expired and booking.cutoff_passed.
	CancelBooking = rpc.Op[CancelRequest, Booking]{App: App, Method: "booking.cancel", Timeout: 10 * time.Second}

	// SettleHolds returns for each of 1 to MaxSettles holds whether a live booking (pending or
	// confirmed) uses it. The answers are in the order of the requests and independent of each
	// other. The event app calls it when holds are due to be settled. Once the answer about a
	// hold is "not live", no booking can use the hold any more.
	SettleHolds = rpc.Op[[]SettleRequest, []rpc.Answer[Settlement]]{App: App, Method: "booking.settle", Timeout: 10 * time.Second}

	// ReconcileBookings returns a page of the live bookings (pending or confirmed) of an
	// event, ordered by id. The event app calls it to compare bookings with holds. It
	// changes nothing. A booking that is live during all calls of a walk through the pages
	// is on exactly one of them.
	ReconcileBookings = rpc.Op[ReconcileRequest, ReconcilePage]{App: App, Method: "booking.reconcile", Timeout: 10 * time.Second}
)

// MaxSettles is the maximum number of holds in one request of SettleHolds.
const MaxSettles = 32

// MaxReconcile is the maximum number of bookings in a page of ReconcileBookings.
const MaxReconcile = 500

// Reasons of refusals.
const (
	ReasonNotFound     = "booking.not_found"
	ReasonNotPending   = "booking.not_pending"
	ReasonExpired      = "booking.expired"
	ReasonCutoffPassed = "booking.cutoff_passed"
	ReasonPendingLimit = "booking.pending_limit"
	ReasonMismatch     = "idempotency.mismatch"
)
