package event

import (
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

// What the use cases refuse with.
var (
	ErrNotFound          = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	ErrDuplicate         = apperr.New(apperr.Conflict, eventapi.ReasonDuplicate, "This organizer has an event of this name and start already.")
	ErrCancelled         = apperr.New(apperr.Conflict, eventapi.ReasonCancelled, "The event is cancelled.")
	ErrStarted           = apperr.New(apperr.Conflict, eventapi.ReasonStarted, "The event has started.")
	ErrNotOnSale         = apperr.New(apperr.Conflict, eventapi.ReasonNotOnSale, "The event is not on sale.")
	ErrVersionConflict   = apperr.New(apperr.PreconditionFailed, eventapi.ReasonVersionConflict, "The event was changed since.")
	ErrCapacityCommitted = apperr.New(apperr.Conflict, eventapi.ReasonCapacityCommitted, "More seats are held or sold than that.")
	ErrHasBookings       = apperr.New(apperr.Conflict, eventapi.ReasonHasBookings, "The event has live bookings.")
	ErrSoldOut           = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
	ErrLimitExceeded     = apperr.New(apperr.Conflict, eventapi.ReasonLimitExceeded, "That is more than one user may book of this event.")
	ErrHoldDead          = apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "This hold was released.")
)

// What ports answer that is no failure.
var (
	// ErrNoEvent says that there is no such event.
	ErrNoEvent = errors.New("no such event")
	// ErrNoHold says that there is no such hold.
	ErrNoHold = errors.New("no such hold")
	// ErrStale says that a compare-and-set found something else than was read.
	ErrStale = errors.New("changed since it was read")
	// ErrExists says that a document of this id is there already.
	ErrExists = errors.New("exists already")
	// ErrNameTaken says that the organizer has an event of this name and start.
	ErrNameTaken = errors.New("an event of this organizer, name and start exists")
)

// busyFor is what a caller is told to wait when too many others moved the seats
// of one event at the same time.
const busyFor = time.Second

// soldOut says how many are left.
func soldOut(left int64) error {
	message := "No tickets are left."
	switch {
	case left == 1:
		message = "Only 1 ticket is left."
	case left > 1:
		message = fmt.Sprintf("Only %d tickets are left.", left)
	}
	return apperr.New(ErrSoldOut.Code, ErrSoldOut.Reason, message)
}
