package auth

import (
	"errors"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
)

// What the use cases refuse with.
var (
	ErrEmailTaken         = apperr.New(apperr.Invalid, authapi.ReasonEmailTaken, "This e-mail address is taken.")
	ErrWeakPassword       = apperr.New(apperr.Invalid, authapi.ReasonWeakPassword, "This password is too easy to guess.")
	ErrAdminRequired      = apperr.New(apperr.Forbidden, authapi.ReasonAdminRequired, "Admin access required")
	ErrInvalidCredentials = apperr.New(apperr.Unauthenticated, authapi.ReasonInvalidCredentials, "Wrong e-mail address or password.")
	ErrRefreshInvalid     = apperr.New(apperr.Unauthenticated, authapi.ReasonRefreshInvalid, "The refresh token is not valid.")
	ErrSessionNotFound    = apperr.New(apperr.Invalid, authapi.ReasonSessionNotFound, "There is no such session.")
	ErrSessionInvalid     = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionInvalid, "Session invalid or expired")
	ErrSessionExpired     = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionExpired, "Session expired")
	ErrUserInactive       = apperr.New(apperr.Unauthenticated, authapi.ReasonUserInactive, "User not found or inactive")
)

// What ports answer that is no failure.
var (
	// ErrNoUser says that there is no such user or address.
	ErrNoUser = errors.New("no such user")
	// ErrStale says that a compare-and-set found something else than was read.
	ErrStale = errors.New("changed since it was read")
)

func errLocked(retryAfter time.Duration) error {
	return apperr.TooManyRequests(authapi.ReasonLocked, "Too many failed log-ins. Try again later.", retryAfter)
}
