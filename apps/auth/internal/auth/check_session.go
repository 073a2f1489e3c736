package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
)

// CheckSession returns the session of a verified access token and its user; see
// authapi.CheckSession. The first check of a session that has expired removes it and
// returns ErrSessionExpired; later checks return ErrSessionInvalid. If the session is
// live but its user does not exist, CheckSession returns ErrUserInactive. A user that
// exists but is inactive is not an error here: the caller refuses it. CheckSession fills
// the cache with its result under req.Lease.
func (s *Service) CheckSession(ctx context.Context, req authapi.CheckSessionRequest) (authapi.CheckedSession, error) {
	now := instant(s.clock.Now())
	// A password change writes the user first and the sessions second. In between, the
	// sessions have an older password version than the user. They are invalid already.
	u, err := s.users.User(ctx, req.UserID)
	userMissing := errors.Is(err, ErrNoUser)
	if err != nil && !userMissing {
		return authapi.CheckedSession{}, fmt.Errorf("check session: %w", err)
	}
	var family Family
	err = s.updateSessions(ctx, req.UserID, func(us *UserSessions) (bool, error) {
		f, expired, ok := us.FindSession(req.SessionID, now)
		if !ok || us.PasswordVersion < u.PasswordVersion {
			return false, ErrSessionInvalid
		}
		if expired {
			us.EndFamily(f.ID, now)
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
	case userMissing:
		return authapi.CheckedSession{}, ErrUserInactive
	}
	s.cache.Fill(ctx, req.Lease, req.UserID, family, u)
	return authapi.CheckedSession{Session: family.Public(req.UserID), User: u.Public()}, nil
}
