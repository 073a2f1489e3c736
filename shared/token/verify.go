package token

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// clockSkew is how far the signer's clock may be ahead of the verifier's. It does not
// extend a token's lifetime.
const clockSkew = 30 * time.Second

// The errors of Verify. ErrExpired wraps ErrInvalid.
var (
	// ErrInvalid is returned for a token that is malformed, not signed with one of the
	// keys, or has invalid claims.
	ErrInvalid = errors.New("token invalid")
	// ErrExpired is returned for a token that has expired but is otherwise valid.
	ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)
)

// Verify returns the claims of raw, a token of either type, if it was signed with one of
// the keys and is valid at the time now. If the token has expired but is otherwise valid,
// Verify returns its claims and ErrExpired. For any other token it returns no claims and
// an error that wraps ErrInvalid.
func Verify(raw string, keys Keys, now time.Time) (Claims, error) {
	if len(raw) > MaxLength {
		return Claims{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxLength)
	}
	if strings.IndexFunc(raw, isNotTokenRune) >= 0 {
		// Package base64 skips line breaks. Without this check, a token would also be
		// valid with line breaks inserted.
		return Claims{}, fmt.Errorf("%w: contains a character that is not allowed in a token", ErrInvalid)
	}
	var s jwtClaims
	// Package jwt would apply the clock skew to the expiry too, so the times are checked
	// below instead.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{algorithm}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	t, err := parser.ParseWithClaims(raw, &s, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		if key, ok := keys.PublicKey(id); ok {
			return key, nil
		}
		return nil, fmt.Errorf("no key %q", id)
	})
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := s.claims()
	if err := c.validate(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if typ, _ := t.Header["typ"].(string); typ != c.Type.header() {
		return Claims{}, fmt.Errorf("%w: typ header %q does not match type %q", ErrInvalid, typ, c.Type)
	}
	if s.Issuer != Issuer || s.Audience != Audience {
		return Claims{}, fmt.Errorf("%w: got issuer %q and audience %q", ErrInvalid, s.Issuer, s.Audience)
	}
	if latest := now.Add(clockSkew).Unix(); latest < s.NotBefore || latest < s.IssuedAt {
		return Claims{}, fmt.Errorf("%w: issued in the future", ErrInvalid)
	}
	if !now.Before(c.ExpiresAt) {
		return c, ErrExpired
	}
	return c, nil
}

// isNotTokenRune reports whether r cannot occur in a token (RFC 7515, section 7.1): it is
// neither a base64url character nor the separator.
func isNotTokenRune(r rune) bool {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}
