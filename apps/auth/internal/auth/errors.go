package auth

import (
	"errors"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
)

// Refusals of the use cases.
var (
	ErrEmailTaken         = apperr.New(apperr.Invalid, authapi.ReasonEmailTaken, "This e-mail address is already registered. Log in, or use another address.")
	ErrWeakPassword       = apperr.New(apperr.Invalid, authapi.ReasonWeakPassword, "This password is too easy to guess. Use one that is not common and is not made from your e-mail address.")
	ErrAdminRequired      = apperr.New(apperr.Forbidden, authapi.ReasonAdminRequired, "Admin access required")
	ErrInvalidCredentials = apperr.New(apperr.Unauthenticated, authapi.ReasonInvalidCredentials, "Wrong e-mail address or password.")
	ErrRefreshInvalid     = apperr.New(apperr.Unauthenticated, authapi.ReasonRefreshInvalid, "The refresh token is invalid or has expired. Log in again.")
	ErrSessionNotFound    = apperr.New(apperr.Invalid, authapi.ReasonSessionNotFound, "The refresh token belongs to no active session.")
	ErrSessionInvalid     = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionInvalid, "Session invalid or expired")
	ErrSessionExpired     = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionExpired, "Session expired")
	ErrUserInactive       = apperr.New(apperr.Unauthenticated, authapi.ReasonUserInactive, "User not found or inactive")
)

// Errors of the ports that the use cases handle.
var (
	// ErrNoUser is returned for an id or an e-mail address that has no user.
	ErrNoUser = errors.New("no such user")
	// ErrStale is returned by a compare-and-set if the record has changed since it
	// was read.
	ErrStale = errors.New("changed since it was read")
)

func errLocked(retryAfter time.Duration) error {
	return apperr.TooManyRequests(authapi.ReasonLocked, "Too many failed log-in attempts. Try again later.", retryAfter)
}

// errNoTurn returns the refusal of an attempt that got no turn. It says the same whether
// the account exists or not.
func errNoTurn() error {
	return apperr.TooManyRequests("", "Too many log-in attempts for this account are under way. Send the request again after the time in Retry-After.", turnRetryAfter)
}
