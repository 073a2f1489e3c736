package auth

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// LogOut ends the family that a refresh token belongs to; see authapi.LogOut. Any
// refresh token of the family ends it, including replaced and expired ones. LogOut
// returns ErrSessionNotFound if the token is malformed or its family has ended.
func (s *Service) LogOut(ctx context.Context, req authapi.LogOutRequest) (rpc.Nothing, error) {
	now := instant(s.clock.Now())
	claims, err := s.refreshClaims(req.RefreshToken, now)
	switch {
	case err == nil, errors.Is(err, token.ErrExpired):
		// An older token may expire before its family ends.
	case errors.Is(err, token.ErrInvalid):
		return rpc.Nothing{}, ErrSessionNotFound
	default:
		return rpc.Nothing{}, fmt.Errorf("log out: %w", err)
	}
	var ended []string
	err = s.updateSessions(ctx, claims.Subject, func(us *UserSessions) (bool, error) {
		sessions, live := us.EndFamily(claims.FamilyID, now)
		if len(sessions) == 0 && len(ended) > 0 {
			// An earlier attempt of this call found the family. The write that removed
			// it may have been this call's own.
			return false, nil
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
