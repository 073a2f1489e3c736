package auth

import (
	"context"
	"errors"
	"fmt"
)

// Checked is a live session and its user, who may be inactive.
type Checked struct {
	Family Family
	User   User
}

// CheckSession returns the session of a verified access token. It refuses with
// ErrSessionInvalid; with ErrSessionExpired whoever is the first to meet it past
// its end, and removes it; with ErrUserInactive when there is no such user. What
// it returns it has filled in the cache, under the lease.
func (s *Service) CheckSession(ctx context.Context, userID, sessionID, lease string) (Checked, error) {
	now := instant(s.clock.Now())
	// The user comes first: whoever changes a password changes the record before
	// the sessions, so that what is read in this order never looks older than it is.
	u, err := s.users.User(ctx, userID)
	unknown := errors.Is(err, ErrNoUser)
	if err != nil && !unknown {
		return Checked{}, fmt.Errorf("check session: %w", err)
	}
	var family Family
	err = s.change(ctx, userID, func(e *Entry) (bool, error) {
		f, expired, ok := e.Find(sessionID, now)
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
		s.cache.End(ctx, sessionID)
		return Checked{}, err
	case err != nil:
		return Checked{}, fmt.Errorf("check session: %w", err)
	case unknown:
		return Checked{}, ErrUserInactive
	}
	s.cache.Fill(ctx, lease, userID, family, u)
	return Checked{family, u}, nil
}
