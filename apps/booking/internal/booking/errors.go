package booking

import (
	"errors"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// What the use cases refuse with.
var (
	ErrNotFound     = apperr.New(apperr.NotFound, bookingapi.ReasonNotFound, "There is no such booking.")
	ErrNotPending   = apperr.New(apperr.Conflict, bookingapi.ReasonNotPending, "The booking was cancelled.")
	ErrExpired      = apperr.New(apperr.Conflict, bookingapi.ReasonExpired, "The booking has expired.")
	ErrCutoffPassed = apperr.New(apperr.Conflict, bookingapi.ReasonCutoffPassed, "It is too late to cancel this booking.")
	ErrMismatch     = apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch, "This key was used for another request.")
)

// What the event app refuses with, where it matters here.
var (
	errHoldDead = apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "This hold was released.")
	errSoldOut  = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
)

// What ports answer that is no failure.
var (
	// ErrNoBooking says that there is no such record.
	ErrNoBooking = errors.New("no such booking")
	// ErrExists says that a record of this id is there already.
	ErrExists = errors.New("exists already")
	// ErrStale says that a compare-and-set found something else than was read.
	ErrStale = errors.New("changed since it was read")
)

// againIn is what a caller is told to wait whose request met another one of the
// same booking.
const againIn = time.Second

// overtaken says that the outcome is open: another request of the same booking
// came between, and asking again tells.
func overtaken() error {
	e := apperr.New(apperr.Unavailable, "", "Another request of the same booking came between. Try again.")
	e.RetryAfter = againIn
	return e
}
