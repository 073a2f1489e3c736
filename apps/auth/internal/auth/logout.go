package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// LogOut ends the log-in that a refresh token belongs to, be the token its
// current one or an older one, and makes the gateway ask about the user anew. It
// returns ErrSessionNotFound when there is no such log-in, or no more.
func (s *Service) LogOut(ctx context.Context, req authapi.LogOutRequest) (rpc.Nothing, error) {
	now := instant(s.clock.Now())
	claims, err := s.refreshClaims(req.RefreshToken, now)
	switch {
	case err == nil, errors.Is(err, token.ErrExpired):
		// An older token of the log-in may have ended before the log-in does.
	case errors.Is(err, token.ErrInvalid):
		return rpc.Nothing{}, ErrSessionNotFound
	default:
		return rpc.Nothing{}, fmt.Errorf("log out: %w", err)
	}
	var ended []string
	err = s.updateSessions(ctx, claims.Subject, func(e *Entry) (bool, error) {
		sessions, live := e.End(claims.FamilyID, now)
		if len(sessions) == 0 && len(ended) > 0 {
			return false, nil // gone since this tried to end it, maybe by this
		}
		ended = sessions
		if !live {
			return len(ended) > 0, ErrSessionNotFound
		}
		return true, nil
	})
	s.cache.End(ctx, ended...)
	if err != nil {
		return rpc.Nothing{}, fmt.Errorf("log out: %w", err)
	}
	s.cache.DropUser(ctx, claims.Subject)
	return rpc.Nothing{}, nil
}
