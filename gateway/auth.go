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

// Who may call a route.
type access int

const (
	anyone access = iota // an Authorization header is not looked at
	guest                // anyone, but a token that is sent must be good
	user
	admin
)

// The answers of the auth middleware, in the order in which they are checked.
// Clients rely on the details to the letter.
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

// bearer is what the Authorization header is worth before anybody is asked.
type bearer struct {
	claims token.Claims // only when err is nil
	err    error
}

// sent reports whether there is a token at all.
func (b bearer) sent() bool { return reasonOf(b.err) != "auth.token_missing" }

func (s *Server) bearer(c *fiber.Ctx) bearer {
	scheme, raw, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	raw = strings.TrimSpace(raw)
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return bearer{err: tokenMissing()}
	}
	claims, err := s.keys.Verify(c.UserContext(), raw)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return bearer{err: tokenInvalid()}
	case err != nil:
		return bearer{err: err}
	case claims.Type != token.Access:
		return bearer{err: tokenType()}
	}
	return bearer{claims: claims}
}

// authorize returns the user that sent the request, or nil for a guest. It returns
// an error if the user may not call the route. entry is what the cache holds about
// the token's session.
func (s *Server) authorize(ctx context.Context, need access, b bearer, entry sessioncache.Entry) (*authapi.User, error) {
	if need == anyone || need == guest && !b.sent() {
		return nil, nil
	}
	if b.err != nil {
		return nil, b.err
	}
	who, err := s.identify(ctx, b.claims, entry)
	if err != nil {
		return nil, err
	}
	if need == admin && who.Role != authapi.RoleAdmin {
		return nil, adminRequired()
	}
	return who, nil
}

// identify finds the live session of a token and its user. The role and the
// activity that count are the record's, not the token's.
func (s *Server) identify(ctx context.Context, claims token.Claims, entry sessioncache.Entry) (*authapi.User, error) {
	if entry.Ended {
		return nil, sessionInvalid()
	}
	// A session past its end is auth's to delete and to tell about.
	if entry.Session == nil || entry.User == nil || !s.now().Before(entry.Session.ExpiresAt.Time) {
		checked, err := rpc.Call(ctx, s.calls, authapi.CheckSession, authapi.CheckSessionRequest{
			UserID: claims.Subject, SessionID: claims.SessionID, Lease: entry.Lease,
		})
		if err != nil {
			return nil, checkRefusal(err)
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

// checkRefusal puts auth's refusals into the words that clients rely on.
func checkRefusal(err error) error {
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

// reasonOf is the reason of an error that is an *apperr.Error, else empty.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*apperr.Error](err); ok {
		return e.Reason
	}
	return ""
}
