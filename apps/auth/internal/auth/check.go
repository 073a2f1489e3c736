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
	var family Family
	err := s.change(ctx, userID, func(e *Entry) (bool, error) {
		f, expired, ok := e.Find(sessionID, now)
		if !ok || e.PasswordVersion == 0 {
			return false, ErrSessionInvalid
		}
		if expired {
			e.End(f.ID, now)
			return true, ErrSessionExpired
		}
		family = f
		return false, nil
	})
	if errors.Is(err, ErrSessionInvalid) || errors.Is(err, ErrSessionExpired) {
		s.cache.End(ctx, sessionID)
		return Checked{}, err
	}
	if err != nil {
		return Checked{}, fmt.Errorf("check session: %w", err)
	}
	u, err := s.users.User(ctx, userID)
	if errors.Is(err, ErrNoUser) {
		return Checked{}, ErrUserInactive
	}
	if err != nil {
		return Checked{}, fmt.Errorf("check session: %w", err)
	}
	s.cache.Fill(ctx, lease, userID, family, u)
	return Checked{family, u}, nil
}
