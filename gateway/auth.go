package main

import (
	"context"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/token"
)

// access says which callers may use a route.
type access int

const (
	anyone access = iota // an Authorization header is ignored
	guest                // a token is optional, but must be valid if it is sent
	user                 // a valid token is required
	admin                // a valid token of an admin is required
)

// The errors of authentication and authorization, in the order of the checks.
// Clients compare these texts literally, so they must never change.
func tokenMissing() error { return unauthenticated("auth.token_missing", "No token provided") }
func tokenInvalid() error { return unauthenticated("auth.token_invalid", "Invalid or expired token") }
func tokenType() error    { return unauthenticated("auth.token_type", "Invalid token type") }

func sessionInvalid() error {
	return unauthenticated(authapi.ReasonSessionInvalid, "Session invalid or expired")
}

func sessionExpired() error {
	return unauthenticated(authapi.ReasonSessionExpired, "Session expired")
}

func userInactive() error {
	return unauthenticated(authapi.ReasonUserInactive, "User not found or inactive")
}

func adminRequired() error {
	return apperr.New(apperr.Forbidden, authapi.ReasonAdminRequired, "Admin access required")
}

func unauthenticated(reason, detail string) error {
	return apperr.New(apperr.Unauthenticated, reason, detail)
}

// credentials is the result of verifying the Authorization header. It says nothing
// about the session, which authorize checks later.
type credentials struct {
	claims token.Claims // set if err is nil
	err    error
}

// hasToken reports whether the request contains a bearer token, valid or not.
func (cred credentials) hasToken() bool { return reasonOf(cred.err) != "auth.token_missing" }

// authenticate verifies the access token in the Authorization header.
func (s *Server) authenticate(c *fiber.Ctx) credentials {
	raw := bearerToken(c)
	if raw == "" {
		return credentials{err: tokenMissing()}
	}
	claims, err := s.keys.Verify(c.UserContext(), raw)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return credentials{err: tokenInvalid()}
	case err != nil:
		return credentials{err: err}
	case claims.Type != token.Access:
		return credentials{err: tokenType()}
	}
	return credentials{claims: claims}
}

// bearerToken returns the token in the Authorization header, or "" if there is none. It is
// valid only as long as c.
func bearerToken(c *fiber.Ctx) string {
	scheme, raw, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(raw)
}

// authorize returns the user that sent the request, or nil if the caller is a guest or
// required is anyone. It returns an error if the caller lacks the required access.
// entry is the cache entry of the token's session.
func (s *Server) authorize(ctx context.Context, required access, cred credentials, entry sessioncache.Entry) (*authapi.User, error) {
	if required == anyone || required == guest && !cred.hasToken() {
		return nil, nil
	}
	if cred.err != nil {
		return nil, cred.err
	}
	caller, err := s.sessionUser(ctx, cred.claims, entry)
	if err != nil {
		return nil, err
	}
	if required == admin && caller.Role != authapi.RoleAdmin {
		return nil, adminRequired()
	}
	return caller, nil
}

// sessionUser returns the user of the token's session. It calls auth unless entry
// contains both a live session and its user. The role and IsActive come from the
// user's record, because the token may be older than the record.
func (s *Server) sessionUser(ctx context.Context, claims token.Claims, entry sessioncache.Entry) (*authapi.User, error) {
	if entry.Ended {
		return nil, sessionInvalid()
	}
	// Auth deletes a session that has expired and returns the error for it.
	if entry.Session == nil || entry.User == nil || !s.now().Before(entry.Session.ExpiresAt.Time) {
		checked, err := rpc.Call(ctx, s.calls, authapi.CheckSession, authapi.CheckSessionRequest{
			UserID: claims.Subject, SessionID: claims.SessionID, Lease: entry.Lease,
		})
		if err != nil {
			return nil, sessionError(err)
		}
		entry.Session, entry.User = &checked.Session, &checked.User
	}
	switch {
	case entry.Session.UserID != claims.Subject || entry.User.ID != claims.Subject:
		return nil, sessionInvalid()
	case !entry.User.IsActive:
		return nil, userInactive()
	}
	return entry.User, nil
}

// sessionError replaces a refusal by auth.session.check with the gateway's own error,
// whose text clients compare. It returns any other error unchanged.
func sessionError(err error) error {
	switch reasonOf(err) {
	case authapi.ReasonSessionInvalid:
		return sessionInvalid()
	case authapi.ReasonSessionExpired:
		return sessionExpired()
	case authapi.ReasonUserInactive:
		return userInactive()
	}
	return err
}

// reasonOf returns the reason of an *apperr.Error in err's chain, or "".
func reasonOf(err error) string {
	if e, ok := errors.AsType[*apperr.Error](err); ok {
		return e.Reason
	}
	return ""
}
