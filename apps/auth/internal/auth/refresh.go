package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/token"
)

// Refresh replaces the session of a refresh token with a successor and returns the
// successor's tokens; see authapi.Refresh. Within the grace period, a repeated call
// returns the same tokens, with the time that is left of them. A token that was replaced earlier ends its family; see reuse
// detection in the package comment. Refresh returns ErrRefreshInvalid for every
// refusal: a malformed, expired or reused token, a family that has ended, an inactive
// account, and an e-mail address in the request that is not the account's.
func (s *Service) Refresh(ctx context.Context, req authapi.RefreshRequest) (authapi.Refreshed, error) {
	now := instant(s.clock.Now())
	claims, err := s.refreshClaims(req.RefreshToken, now)
	if errors.Is(err, token.ErrInvalid) {
		return authapi.Refreshed{}, ErrRefreshInvalid
	}
	if err != nil {
		return authapi.Refreshed{}, fmt.Errorf("refresh: %w", err)
	}
	u, err := s.users.User(ctx, claims.Subject)
	if errors.Is(err, ErrNoUser) {
		return authapi.Refreshed{}, ErrRefreshInvalid
	}
	if err != nil {
		return authapi.Refreshed{}, fmt.Errorf("refresh: %w", err)
	}
	if !u.Active || req.Email != nil && NormalizeEmail(*req.Email) != NormalizeEmail(u.Email) {
		return authapi.Refreshed{}, ErrRefreshInvalid
	}
	family, err := s.rotate(ctx, u, claims, s.newSession(now))
	if err != nil {
		return authapi.Refreshed{}, fmt.Errorf("refresh: %w", err)
	}
	tokens, err := s.issue(u, family, now)
	return authapi.Refreshed{Tokens: tokens}, err
}

// rotate stores successor in place of the session of claims, and returns the family
// with the session that is current now. It returns ErrRefreshInvalid if the session
// cannot be replaced.
func (s *Service) rotate(ctx context.Context, u User, claims token.Claims, successor Session) (Family, error) {
	var (
		family   Family
		rotation Rotation
		ended    []string
	)
	err := s.updateSessions(ctx, u.ID, func(us *UserSessions) (bool, error) {
		if us.PasswordVersion < u.PasswordVersion {
			return false, ErrRefreshInvalid
		}
		family, rotation, ended = us.Rotate(claims.FamilyID, claims.SessionID, successor, successor.StartedAt)
		switch rotation {
		case Rotated:
			return true, nil
		case Replayed:
			return false, nil
		case ReuseDetected:
			return true, ErrRefreshInvalid
		case NotRotated:
		}
		return false, ErrRefreshInvalid
	})
	s.cache.End(ctx, ended...)
	if rotation == ReuseDetected {
		s.log.WarnContext(ctx, "ended session family: replaced refresh token used again", telemetry.KeyUserID, u.ID)
	}
	return family, err
}
