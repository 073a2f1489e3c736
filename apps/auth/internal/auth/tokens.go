package auth

import (
	"fmt"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/token"
)

// issue signs the tokens of a family's current session at the time now. The same session
// of the same user always yields the same tokens. ExpiresIn is the time that is left of
// the access token's lifetime, in whole seconds.
func (s *Service) issue(u User, f Family, now time.Time) (authapi.Tokens, error) {
	keys, err := s.keys.Keyring()
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("tokens: %w", err)
	}
	session := f.Current
	access, err := token.Sign(token.Claims{
		Type: token.Access, Subject: u.ID, SessionID: session.ID, ID: session.ID + "-a",
		Email: u.Email, Role: string(u.Role),
		IssuedAt: session.StartedAt, ExpiresAt: ceilSecond(session.StartedAt.Add(s.accessTTL)),
	}, keys.signing)
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("access token: %w", err)
	}
	refresh, err := token.Sign(token.Claims{
		Type: token.Refresh, Subject: u.ID, SessionID: session.ID, FamilyID: f.ID, ID: session.ID + "-r",
		IssuedAt: session.StartedAt, ExpiresAt: ceilSecond(session.ExpiresAt),
	}, keys.signing)
	if err != nil {
		return authapi.Tokens{}, fmt.Errorf("refresh token: %w", err)
	}
	return authapi.Tokens{
		AccessToken: access, RefreshToken: refresh, TokenType: "Bearer", ExpiresIn: s.secondsLeft(session, now),
	}, nil
}

// secondsLeft returns how long the access token of a session is still valid, rounded down
// to whole seconds. The token itself expires up to a second later; see ceilSecond. Another
// replica, whose clock may be ahead, may have started the session after now.
func (s *Service) secondsLeft(session Session, now time.Time) int64 {
	used := max(0, now.Sub(session.StartedAt))
	return int64(max(0, s.accessTTL-used).Seconds())
}

// ceilSecond rounds t up to a whole second, the resolution of a token's times. A
// token must not expire before the promised time.
func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// refreshClaims verifies a refresh token and returns its claims. It returns them
// together with token.ErrExpired if the token has expired, and token.ErrInvalid if
// raw is not a refresh token that this service signed.
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
