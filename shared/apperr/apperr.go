// Package apperr defines the errors that cross process boundaries. Each error has a code
// from a closed set, a stable reason such as booking.sold_out, which programs compare,
// and a message, which people read. Apps return these errors, package rpc transports them,
// and only the gateway converts them to HTTP problems.
//
// The cause of an error is available to errors.Unwrap and to the log, and is never sent
// to another process.
package apperr

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is a refusal or a failure of an operation. errors.Is compares it with another
// Error by Code and Reason only.
type Error struct {
	// Code classifies the error.
	Code Code
	// Reason is a stable name that programs compare, in lower case with dots, such as
	// booking.sold_out. An error without a specific reason has the name of its code.
	Reason string
	// Message is a text for people. It may be shown to anyone.
	Message string
	// Fields lists the invalid fields of a request.
	Fields []Field
	// RetryAfter is how long to wait before a retry; zero if unknown.
	RetryAfter time.Duration
	// ConflictsWith is the id of the existing resource that the request conflicts with. It
	// is empty unless the app that refused the request names one.
	ConflictsWith string

	overloaded bool // see IsOverloaded
	cause      error
}

// Field describes one invalid field of a request.
type Field struct {
	Field   string `json:"field"`   // a dotted path, or the name of a query parameter
	Code    string `json:"code"`    // stable, such as required, too_short or unknown
	Message string `json:"message"` // for people
}

// New returns an Error. If reason is empty, the reason is the code's name.
func New(code Code, reason, message string) *Error {
	if reason == "" {
		reason = string(code)
	}
	return &Error{Code: code, Reason: reason, Message: message}
}

// InvalidFields returns an Invalid error that lists the invalid fields of a request.
func InvalidFields(fields ...Field) *Error {
	e := New(Invalid, "", "The request is invalid. Correct the listed fields and send it again.")
	e.Fields = fields
	return e
}

// TooManyRequests returns a RateLimited error. The request is allowed again after
// retryAfter.
func TooManyRequests(reason, message string, retryAfter time.Duration) *Error {
	e := New(RateLimited, reason, message)
	e.RetryAfter = retryAfter
	return e
}

// Overloaded returns an Unavailable error for a request that was refused because a
// bounded resource, such as a queue, is exhausted, or because a record is too busy. The
// operation did not take place. Unlike Unreachable it comes from a healthy app, so it is
// not a Failure and never opens a circuit breaker. Package rpc keeps the distinction, so
// it holds in every process that receives the error.
func Overloaded(retryAfter time.Duration) *Error {
	e := New(Unavailable, "", "The service is busy. Send the request again after the time in Retry-After.")
	e.RetryAfter = retryAfter
	e.overloaded = true
	return e
}

// IsOverloaded reports whether e was made by Overloaded, in this process or another one.
func (e *Error) IsOverloaded() bool { return e.overloaded }

// Unreachable returns an Unavailable error for a dependency that does not answer. The
// operation may or may not have taken place.
func Unreachable(cause error) *Error {
	return New(Unavailable, "", "The service is temporarily unavailable. "+sendAgain).WithCause(cause)
}

// TimedOut returns a Timeout error for an answer that did not arrive in time. The
// operation may or may not have taken place.
func TimedOut(cause error) *Error {
	return New(Timeout, "", "The service did not answer in time. "+sendAgain).WithCause(cause)
}

// sendAgain advises clients whose request may have been processed.
const sendAgain = "Send the request again later, with the same Idempotency-Key if it had one."

// Fault returns an Internal error for a defect of the program itself.
func Fault(cause error) *Error {
	return New(Internal, "", "The service failed to process the request. If this persists, report the traceId.").WithCause(cause)
}

// WithCause returns a copy of e with a cause. Causes are logged but never sent.
func (e *Error) WithCause(cause error) *Error {
	next := *e
	next.cause = cause
	return &next
}

// Error returns a text for logs. It contains the cause, so it must not be sent.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != s {
		s += " " + e.Reason
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.cause != nil {
		s += fmt.Sprintf(" (%v)", e.cause)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an Error with the same code and reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) // not errors.As: errors.Is walks the chain itself
	return ok && t.Code == e.Code && t.Reason == e.Reason
}

// Failure reports whether the app failed, as opposed to refusing the request. Circuit
// breakers count only failures.
func (e *Error) Failure() bool {
	switch e.Code {
	case Internal, Timeout:
		return true
	case Unavailable:
		return !e.overloaded
	case Invalid, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed, Unprocessable, RateLimited:
		return false
	}
	return true
}

// From returns the Error that err is or wraps. If there is none, it returns a new Error
// with err as its cause: TimedOut if a deadline expired, otherwise Fault.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return TimedOut(err)
	}
	return Fault(err)
}
