// Package bookingapi is what the booking app offers to the other programs: its
// operations, the messages that they take and answer, and its facts on the bus.
package bookingapi

import (
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/rpc"
)

// App is the booking app's name among the apps.
const App = "booking"

// The operations. Wrong requests are refused with the code invalid, and fields
// says what is wrong.
var (
	// CreateBooking books seats. Repeated with the same key or id it is the same booking,
	// answered as at first. Refusals: those of event.capacity.reserve, and
	// idempotency.mismatch (unprocessable) for a key that another request had. An
	// answer of Unavailable or Timeout leaves open whether there is a booking;
	// asking again tells.
	CreateBooking = rpc.Op[CreateRequest, Created]{App: App, Method: "booking.create", Timeout: 15 * time.Second}

	// GetBooking returns one booking to its owner or an admin. Refusal:
	// booking.not_found.
	GetBooking = rpc.Op[GetRequest, Booking]{App: App, Method: "booking.get", Timeout: 10 * time.Second}

	// ListBookings returns a page of bookings, newest first; with Count the total too.
	ListBookings = rpc.Op[ListRequest, contract.Page[Booking]]{App: App, Method: "booking.list", Timeout: 10 * time.Second}

	// ConfirmBooking makes a booking final, for its owner or an admin. One that has
	// expired is confirmed too if there are seats. Refusals: booking.not_found,
	// booking.not_pending, booking.expired.
	ConfirmBooking = rpc.Op[ConfirmRequest, Booking]{App: App, Method: "booking.confirm", Timeout: 10 * time.Second}

	// CancelBooking ends a booking, for its owner or an admin. Refusals:
	// booking.not_found, booking.expired, booking.cutoff_passed.
	CancelBooking = rpc.Op[CancelRequest, Booking]{App: App, Method: "booking.cancel", Timeout: 10 * time.Second}

	// SettleHold says whether a hold stands behind a live booking, for the event app.
	// When it says dead, no booking can come to live by this hold any more.
	SettleHold = rpc.Op[SettleRequest, Settlement]{App: App, Method: "booking.settle", Timeout: 10 * time.Second}
)

// Reasons of refusals.
const (
	ReasonNotFound     = "booking.not_found"
	ReasonNotPending   = "booking.not_pending"
	ReasonExpired      = "booking.expired"
	ReasonCutoffPassed = "booking.cutoff_passed"
	ReasonMismatch     = "idempotency.mismatch"
)
