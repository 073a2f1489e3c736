package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign returns a token with the claims c, signed with key. The same claims and key always
// produce the same token. Sign returns an error if Verify would never accept the token: a
// claim is missing or invalid, or the token is longer than MaxLength.
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
		return "", fmt.Errorf("sign token: token has %d bytes, want at most %d", len(raw), MaxLength)
	}
	return raw, nil
}

// jwtClaims is a payload that implements jwt.Claims. Package jwt never calls the methods,
// because Verify disables its validation of claims.
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
