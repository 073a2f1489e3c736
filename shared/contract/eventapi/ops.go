// Package eventapi is what the event app offers to the other programs: its
// operations, the messages that they take and answer, and its facts on the bus.
package eventapi

import (
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/rpc"
)

// App is the event app's name among the apps.
const App = "event"

// The operations. Wrong requests are refused with the code invalid, and fields
// says what is wrong.
var (
	// CreateEvent makes an event. Repeated with the same EventID it is the same event.
	// Refusal: event.duplicate.
	CreateEvent = rpc.Op[CreateRequest, Versioned]{App: App, Method: "event.create", Timeout: 10 * time.Second}

	// GetEvent returns one event. Refusal: event.not_found, for drafts too unless an
	// admin asks.
	GetEvent = rpc.Op[GetRequest, Versioned]{App: App, Method: "event.get", Timeout: 10 * time.Second}

	// ListEvents returns a page of the events that match, drafts only to admins.
	ListEvents = rpc.Op[ListRequest, contract.Page[Event]]{App: App, Method: "event.list", Timeout: 10 * time.Second}

	// GetAvailability returns how many seats there are. Refusal:
	// event.not_found.
	GetAvailability = rpc.Op[GetRequest, Availability]{App: App, Method: "event.availability", Timeout: 10 * time.Second}

	// ReserveSeats counts the seats of holds of one event, for the booking app: of one, or
	// of as many as came together, MaxReserves at most and each once. The answers are
	// in their order, and each is its own. Repeated with the same hold it is the same
	// answer. Refusals of a hold, the first that applies: event.not_found,
	// event.cancelled, event.started, event.not_on_sale, booking.limit_exceeded,
	// booking.sold_out; and hold.dead when the hold was released already, or never
	// may be taken.
	ReserveSeats = rpc.Op[[]ReserveRequest, []rpc.Answer[Reservation]]{App: App, Method: "event.capacity.reserve", Timeout: 10 * time.Second}

	// ReleaseSeats gives the seats of a hold back, for the booking app. An unknown hold
	// can never be reserved afterwards. It refuses nothing.
	ReleaseSeats = rpc.Op[ReleaseRequest, rpc.Nothing]{App: App, Method: "event.capacity.release", Timeout: 10 * time.Second}
)

// MaxReserves is how many reserves one request may carry.
const MaxReserves = 32

// Reasons of refusals.
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
)
