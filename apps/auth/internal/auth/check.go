package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
)

// CheckSession returns the session of a verified access token. It refuses with
// ErrSessionInvalid; with ErrSessionExpired whoever is the first to meet it past
// its end, and removes it; with ErrUserInactive when there is no such user. What
// it returns it has filled in the cache, under the lease.
func (s *Service) CheckSession(ctx context.Context, req authapi.CheckSessionRequest) (authapi.CheckedSession, error) {
	now := instant(s.clock.Now())
	// The user comes first: whoever changes a password changes the record before
	// the sessions, so that what is read in this order never looks older than it is.
	u, err := s.users.User(ctx, req.UserID)
	unknown := errors.Is(err, ErrNoUser)
	if err != nil && !unknown {
		return authapi.CheckedSession{}, fmt.Errorf("check session: %w", err)
	}
	var family Family
	err = s.updateSessions(ctx, req.UserID, func(e *Entry) (bool, error) {
		f, expired, ok := e.Find(req.SessionID, now)
		if !ok || e.PasswordVersion < u.PasswordVersion {
			return false, ErrSessionInvalid
		}
		if expired {
			e.End(f.ID, now)
			return true, ErrSessionExpired
		}
		family = f
		return false, nil
	})
	switch {
	case errors.Is(err, ErrSessionInvalid), errors.Is(err, ErrSessionExpired):
		s.cache.End(ctx, req.SessionID)
		return authapi.CheckedSession{}, err
	case err != nil:
		return authapi.CheckedSession{}, fmt.Errorf("check session: %w", err)
	case unknown:
		return authapi.CheckedSession{}, ErrUserInactive
	}
	s.cache.Fill(ctx, req.Lease, req.UserID, family, u)
	return authapi.CheckedSession{Session: family.Public(req.UserID), User: u.Public()}, nil
}
