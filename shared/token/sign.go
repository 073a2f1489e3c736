package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign returns the token with the claims c, signed with key. The same claims and key
// give the same bytes. It returns an error if Verify would never accept the token.
func Sign(c Claims, key ed25519.PrivateKey) (string, error) {
	if err := c.validate(); err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("sign token: key is not an Ed25519 key")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwtClaims{toPayload(c)})
	t.Header["typ"] = c.Type.header()
	t.Header["kid"] = KeyID(public)
	raw, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(raw) > MaxLength {
		return "", fmt.Errorf("sign token: got %d bytes, at most %d are allowed", len(raw), MaxLength)
	}
	return raw, nil
}

// jwtClaims makes a payload implement jwt.Claims. The validation of package jwt is
// disabled, so the methods are never called.
type jwtClaims struct{ payload }

// GetExpirationTime implements jwt.Claims.
func (jwtClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuedAt implements jwt.Claims.
func (jwtClaims) GetIssuedAt() (*jwt.NumericDate, error) { return nil, nil }

// GetNotBefore implements jwt.Claims.
func (jwtClaims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer implements jwt.Claims.
func (jwtClaims) GetIssuer() (string, error) { return Issuer, nil }

// GetSubject implements jwt.Claims.
func (jwtClaims) GetSubject() (string, error) { return "", nil }

// GetAudience implements jwt.Claims.
func (jwtClaims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }
