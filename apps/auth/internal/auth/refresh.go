package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/token"
)

// Refresh replaces the session of a refresh token by a successor and returns its
// tokens; asked again within ten seconds it returns the same bytes. Everything
// else is ErrRefreshInvalid: no token of ours, one that has ended, another's
// e-mail address (if the request names one), an inactive account. A token
// that was replaced longer ago ends the log-in, since one of those who hold it
// stole it.
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
	if !u.Active || req.Email != nil && NormalizeEmail(*req.Email) != u.Email {
		return authapi.Refreshed{}, ErrRefreshInvalid
	}
	successor := s.newSession(now)
	var (
		family   Family
		rotation Rotation
		ended    []string
	)
	err = s.updateSessions(ctx, u.ID, func(e *Entry) (bool, error) {
		if e.PasswordVersion < u.PasswordVersion {
			return false, ErrRefreshInvalid
		}
		family, rotation, ended = e.Refresh(claims.FamilyID, claims.SessionID, successor, now)
		switch rotation {
		case Rotated:
			return true, nil
		case Replayed:
			return false, nil
		case Stolen:
			return true, ErrRefreshInvalid
		case Refused:
		}
		return false, ErrRefreshInvalid
	})
	s.cache.End(ctx, ended...)
	if rotation == Stolen {
		s.log.WarnContext(ctx, "replaced refresh token used again: log-in ended", telemetry.KeyUserID, u.ID)
	}
	if err != nil {
		return authapi.Refreshed{}, fmt.Errorf("refresh: %w", err)
	}
	tokens, err := s.issue(u, family)
	return authapi.Refreshed{Tokens: tokens}, err
}
