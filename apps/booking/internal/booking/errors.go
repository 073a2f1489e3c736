package booking

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// Refusals of the use cases. Their messages are shown to clients.
var (
	// ErrNotFound means that there is no booking with this id, or that the caller may
	// not see it.
	ErrNotFound = apperr.New(apperr.NotFound, bookingapi.ReasonNotFound, "There is no booking with this id.")
	// ErrNotPending means that a cancelled booking cannot be confirmed.
	ErrNotPending = apperr.New(apperr.Conflict, bookingapi.ReasonNotPending,
		"This booking was cancelled and can no longer be confirmed. Create a new booking.")
	// ErrExpired means that the booking has expired. ConfirmBooking returns it only if
	// it could not reserve seats again.
	ErrExpired = apperr.New(apperr.Conflict, bookingapi.ReasonExpired, "This booking has expired. Create a new booking.")
	// ErrCutoffPassed means that the event's cancellation cut-off has passed.
	ErrCutoffPassed = apperr.New(apperr.Conflict, bookingapi.ReasonCutoffPassed,
		"This booking can no longer be cancelled: the event's cancellation cut-off has passed.")
	// ErrIdempotencyMismatch means that the idempotency key belongs to a different
	// request.
	ErrIdempotencyMismatch = apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch,
		"This Idempotency-Key was used for a different request. Use a new key.")
)

// Refusals of the event app that the use cases handle in a special way.
var (
	errHoldReleased = apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "This hold was released.")
	errSoldOut      = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Not enough tickets are left.")
)

// Errors of a Store that describe the stored record. They are not failures.
var (
	// ErrNoBooking means that there is no record with this id.
	ErrNoBooking = errors.New("no such booking")
	// ErrExists means that a record with this id exists.
	ErrExists = errors.New("booking already exists")
	// ErrStale means that a compare-and-set found a changed record.
	ErrStale = errors.New("booking changed since it was read")
	// ErrNoCancellation means that the event has no job.
	ErrNoCancellation = errors.New("no such cancellation")
)

// supersededRetryAfter is the time that a client should wait after its request was
// superseded.
const supersededRetryAfter = time.Second

// superseded returns the error of an attempt whose hold number became invalid before
// the attempt finished, for example because a concurrent request for the same booking
// was refused. The attempt had no effect. The client's next request starts with a
// valid number.
func superseded() error {
	e := apperr.New(apperr.Unavailable, "", "Another request changed this booking at the same time. Send your request again.")
	e.RetryAfter = supersededRetryAfter
	return e
}

// recoverTo must be deferred. It turns a panic of the deferring function into an error. The
// items of a batch are independent, so a panic about one must not affect the others.
func recoverTo(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v\n%s", what, p, debug.Stack())
	}
}
