package event

import (
	"errors"
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

// The refusals of the use cases. Their messages are shown to clients.
var (
	ErrNotFound            = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	ErrDuplicate           = apperr.New(apperr.Conflict, eventapi.ReasonDuplicate, "The organizer already has an event with this name and start. Choose another name or start.")
	ErrCancelled           = apperr.New(apperr.Conflict, eventapi.ReasonCancelled, "The event is cancelled.")
	ErrStarted             = apperr.New(apperr.Conflict, eventapi.ReasonStarted, "The event has started. Tickets are sold only before its start.")
	ErrNotOnSale           = apperr.New(apperr.Conflict, eventapi.ReasonNotOnSale, "The event is not on sale now. See its salesStartAt and salesEndAt.")
	ErrVersionConflict     = apperr.New(apperr.PreconditionFailed, eventapi.ReasonVersionConflict, "The event has changed. Read it again and retry with its current ETag.")
	ErrCapacityCommitted   = apperr.New(apperr.Conflict, eventapi.ReasonCapacityCommitted, "The capacity must not be less than the number of seats that are held or sold.")
	ErrHasBookings         = apperr.New(apperr.Conflict, eventapi.ReasonHasBookings, "The event has live bookings. Cancel the event, or wait until its bookings have ended.")
	ErrSoldOut             = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
	ErrLimitExceeded       = apperr.New(apperr.Conflict, eventapi.ReasonLimitExceeded, "The booking would exceed the number of tickets that one user may have for this event. See its maxPerUser.")
	ErrIdempotencyMismatch = apperr.New(apperr.Unprocessable, eventapi.ReasonMismatch, "The Idempotency-Key was used for a different request. Send the same body, or use another key.")
	ErrHoldDead            = apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "The hold was released and cannot be reserved again.")
)

// The errors that the contracts of the ports define. They are not failures.
var (
	// ErrNoEvent means that there is no such event.
	ErrNoEvent = errors.New("no such event")
	// ErrStale means that a compare-and-set found a different version from the one read.
	ErrStale = errors.New("changed since it was read")
	// ErrExists means that a document with this id exists.
	ErrExists = errors.New("exists already")
	// ErrOutboxFull means that an event has MaxFacts unpublished facts.
	ErrOutboxFull = errors.New("the outbox is full of unpublished facts")
	// ErrNameTaken means that the organizer has an event with this name and start.
	ErrNameTaken = errors.New("an event with this organizer, name and start exists")
)

// soldOut returns ErrSoldOut with a message that says how many tickets are left.
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
