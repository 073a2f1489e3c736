// Package apperr is the one form that an error takes when it crosses a process
// border: a code of a closed set, a stable reason such as booking.sold_out, and
// a message for people. Apps return it, rpc carries it intact, and only the
// gateway turns it into an HTTP problem.
//
// What went wrong inside, the cause, stays with errors.Unwrap for the log and is
// never sent.
package apperr

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is a refusal or a failure. Compare it with errors.Is against another
// Error of which only Code and Reason count, or take it with errors.As.
type Error struct {
	// Code is one of the closed set.
	Code Code
	// Reason is a stable name for programs, dotted and lower-case
	// (booking.sold_out); without one of its own, the code's name.
	Reason string
	// Message is for people and may be shown to anyone.
	Message string
	// Fields says what is wrong with which part of an invalid request.
	Fields []Field
	// RetryAfter is when trying again makes sense; zero when unknown.
	RetryAfter time.Duration

	refusal bool
	cause   error
}

// Field is one wrong part of a request.
type Field struct {
	Field   string `json:"field"`   // dotted path, or a query parameter's name
	Code    string `json:"code"`    // stable: required, too_short, unknown ...
	Message string `json:"message"` // for people
}

// New returns an Error; an empty reason is the code's name.
func New(code Code, reason, message string) *Error {
	if reason == "" {
		reason = string(code)
	}
	return &Error{Code: code, Reason: reason, Message: message}
}

// InvalidFields refuses a request and lists everything that is wrong with it.
func InvalidFields(fields ...Field) *Error {
	e := New(Invalid, "", "The request is not valid.")
	e.Fields = fields
	return e
}

// TooManyRequests refuses because of a limit that gives way after a while.
func TooManyRequests(reason, message string, retryAfter time.Duration) *Error {
	e := New(RateLimited, reason, message)
	e.RetryAfter = retryAfter
	return e
}

// Overloaded refuses because a bounded queue is full. Unlike Unreachable it is an
// answer of a healthy app, so it never opens a circuit breaker.
func Overloaded(retryAfter time.Duration) *Error {
	e := New(Unavailable, "", "Too busy, try again shortly.")
	e.RetryAfter = retryAfter
	e.refusal = true
	return e
}

// Unreachable says that something this depends on does not answer.
func Unreachable(cause error) *Error {
	return New(Unavailable, "", "The service is temporarily unavailable.").WithCause(cause)
}

// TimedOut says that there was no answer in time.
func TimedOut(cause error) *Error {
	return New(Timeout, "", "The service did not answer in time.").WithCause(cause)
}

// Fault says that the program itself failed.
func Fault(cause error) *Error {
	return New(Internal, "", "Something went wrong on our side.").WithCause(cause)
}

// WithCause returns a copy with a cause, which is logged and never sent.
func (e *Error) WithCause(cause error) *Error {
	next := *e
	next.cause = cause
	return &next
}

// Error is for logs: it shows the cause.
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

// Is reports whether target is an Error of the same code and reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) // no As: errors.Is walks the chain
	return ok && t.Code == e.Code && t.Reason == e.Reason
}

// Failure reports whether the app itself failed, as opposed to having refused.
// Only a failure may count for a circuit breaker.
func (e *Error) Failure() bool {
	switch e.Code {
	case Internal, Timeout:
		return true
	case Unavailable:
		return !e.refusal
	case Invalid, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed, Unprocessable, RateLimited:
		return false
	}
	return true
}

// From returns the Error that err is or wraps. An expired deadline is a Timeout,
// anything else that nobody named an Internal, with err as its cause.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return TimedOut(err)
	}
	return Fault(err)
}
