package auth

import (
	"fmt"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/token"
)

// issue signs a family's current session. The same session of the same user
// gives the same bytes.
func (s *Service) issue(u User, f Family) (authapi.Tokens, error) {
	keys, err := s.keys.Keyring()
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("tokens: %w", err)
	}
	session := f.Current
	access, err := token.Sign(token.Claims{
		Type: token.Access, Subject: u.ID, SessionID: session.ID, ID: session.ID + "-a",
		Email: u.Email, Role: string(u.Role),
		IssuedAt: session.StartedAt, ExpiresAt: wholeSecond(session.StartedAt.Add(s.accessTTL)),
	}, keys.signing)
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("access token: %w", err)
	}
	refresh, err := token.Sign(token.Claims{
		Type: token.Refresh, Subject: u.ID, SessionID: session.ID, FamilyID: f.ID, ID: session.ID + "-r",
		IssuedAt: session.StartedAt, ExpiresAt: wholeSecond(session.ExpiresAt),
	}, keys.signing)
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("refresh token: %w", err)
	}
	return authapi.Tokens{
		AccessToken: access, RefreshToken: refresh, TokenType: "Bearer", ExpiresIn: int64(s.accessTTL.Seconds()),
	}, nil
}

// wholeSecond rounds up: tokens tell whole seconds, and one must not end before
// the time that was promised.
func wholeSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// refreshClaims returns what a refresh token of ours says. With an error that is
// token.ErrExpired the claims are those of one whose time is over; another
// token.ErrInvalid is no refresh token.
func (s *Service) refreshClaims(raw string, now time.Time) (token.Claims, error) {
	keys, err := s.keys.Keyring()
	if err != nil {
		return token.Claims{}, err
	}
	claims, err := token.Verify(raw, keys, now)
	if claims.Type == token.Access {
		return token.Claims{}, fmt.Errorf("%w: an access token", token.ErrInvalid)
	}
	return claims, err
}
