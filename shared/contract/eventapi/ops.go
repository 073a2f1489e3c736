// Package eventapi is the contract of the event app: its operations, their requests and
// responses, and its facts on the bus.
package eventapi

import (
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/rpc"
)

// App is the event app's Dapr app id.
const App = "event"

// The operations of the event app. Each refuses an invalid request with the code
// apperr.Invalid and lists the invalid fields.
var (
	// CreateEvent creates an event. It is idempotent: a repeated request with the same
	// key or event id gets the first answer again. Refusals: event.duplicate, which names
	// the existing event (apperr.Error.ConflictsWith), and idempotency.mismatch
	// (apperr.Unprocessable) if the key was used for a different request.
	CreateEvent = rpc.Op[CreateRequest, Created]{App: App, Method: "event.create", Timeout: 10 * time.Second}

	// UpdateEvent changes the definition of an event, or its status to draft or published.
	// It is idempotent: a repeated request with the same change id changes nothing.
	// Refusals: event.not_found, event.version_conflict, event.cancelled,
	// event.duplicate, event.capacity_below_committed, event.has_bookings.
	UpdateEvent = rpc.Op[UpdateRequest, Versioned]{App: App, Method: "event.update", Timeout: 10 * time.Second}

	// CancelEvent cancels an event, which cannot be undone. The booking app then cancels
	// the event's live bookings. A cancelled event stays as it is. Refusal:
	// event.not_found.
	CancelEvent = rpc.Op[ChangeRequest, Versioned]{App: App, Method: "event.cancel", Timeout: 10 * time.Second}

	// DeleteEvent removes an event that has no live bookings. It is idempotent: a repeated
	// request with the same change id succeeds. Refusals: event.not_found,
	// event.has_bookings.
	DeleteEvent = rpc.Op[ChangeRequest, rpc.Nothing]{App: App, Method: "event.delete", Timeout: 10 * time.Second}

	// GetEvent returns one event. Only admins see drafts. Refusal: event.not_found.
	GetEvent = rpc.Op[GetRequest, Versioned]{App: App, Method: "event.get", Timeout: 10 * time.Second}

	// ListEvents returns a page of the events that match. Only admins see drafts.
	ListEvents = rpc.Op[ListRequest, contract.Page[Event]]{App: App, Method: "event.list", Timeout: 10 * time.Second}

	// ListOrganizerEvents returns a page of the events that one organizer created, which
	// may be none. Only admins see drafts.
	ListOrganizerEvents = rpc.Op[ListRequest, contract.Page[Event]]{App: App, Method: "event.organizer", Timeout: 10 * time.Second}

	// SearchEvents returns a page of the events that contain all words of the term, best
	// match first. Only admins see drafts.
	SearchEvents = rpc.Op[SearchRequest, contract.Page[Event]]{App: App, Method: "event.search", Timeout: 10 * time.Second}

	// GetAvailability returns the seat counters and the status of an event. Refusal:
	// event.not_found.
	GetAvailability = rpc.Op[GetRequest, Seats]{App: App, Method: "event.availability", Timeout: 10 * time.Second}

	// ListCapacityLog returns a page of the capacity log of an event, newest first, for
	// admins. It has exactly one entry for each change of the counters; the sums of all
	// entries are the counters. Entries older than 30 days are combined in one, the last
	// one. A cursor of a log whose entries were combined meanwhile is refused as invalid.
	// Refusal: event.not_found.
	ListCapacityLog = rpc.Op[CapacityLogRequest, contract.Page[CapacityLogEntry]]{App: App, Method: "event.capacity.log", Timeout: 10 * time.Second}

	// ReconcileEvent compares the counters of an event with its holds, and its holds with the
	// bookings, for admins. If Mend is set, it also mends what it can: it writes the counters,
	// releases the holds of dead bookings, and sells those of confirmed ones. Repeating it is
	// harmless. Refusal: event.not_found.
	ReconcileEvent = rpc.Op[ReconcileRequest, Reconciliation]{App: App, Method: "event.reconcile", Timeout: 10 * time.Second}

	// ReserveSeats reserves the seats of 1 to MaxReserves distinct holds of one event, for
	// the booking app. The answers are in the order of the requests and independent of
	// each other. The operation is idempotent: the hold's id is the idempotency key.
	//
	// A hold is refused with the first of these reasons that applies: event.not_found,
	// event.cancelled, event.started, event.not_on_sale, booking.limit_exceeded,
	// booking.sold_out. A hold that was released, or that has a tombstone, is refused with
	// hold.dead.
	ReserveSeats = rpc.Op[[]ReserveRequest, []rpc.Answer[Reservation]]{App: App, Method: "event.capacity.reserve", Timeout: 10 * time.Second}

	// ReleaseSeats gives the seats of 1 to MaxReserves distinct holds of one event back, for
	// the booking app. The answers are in the order of the requests and independent of each
	// other. The operation is idempotent: a hold that was released stays released. If a
	// hold is unknown, the operation writes a tombstone, so that the hold can never be
	// reserved. It refuses only invalid requests.
	ReleaseSeats = rpc.Op[[]ReleaseRequest, []rpc.Answer[rpc.Nothing]]{App: App, Method: "event.capacity.release", Timeout: 10 * time.Second}

	// SellSeats counts the seats of 1 to MaxReserves distinct holds of one event as sold, for
	// the booking app. The answers are in the order of the requests and independent of each
	// other. The operation is idempotent. It leaves a hold that is sold, released or unknown
	// as it is, and does nothing if the event is gone. It refuses only invalid requests.
	SellSeats = rpc.Op[[]SellRequest, []rpc.Answer[rpc.Nothing]]{App: App, Method: "event.capacity.sell", Timeout: 10 * time.Second}
)

// MaxReserves is the maximum number of holds in one request of ReserveSeats, ReleaseSeats or
// SellSeats.
const MaxReserves = 32

// The reasons of refusals.
const (
	ReasonNotFound          = "event.not_found"
	ReasonDuplicate         = "event.duplicate"
	ReasonCancelled         = "event.cancelled"
	ReasonStarted           = "event.started"
	ReasonNotOnSale         = "event.not_on_sale"
	ReasonVersionConflict   = "event.version_conflict"
	ReasonCapacityCommitted = "event.capacity_below_committed"
	ReasonHasBookings       = "event.has_bookings"
	ReasonSoldOut           = "booking.sold_out"
	ReasonLimitExceeded     = "booking.limit_exceeded"
	ReasonHoldDead          = "hold.dead"
	ReasonMismatch          = "idempotency.mismatch"
)
