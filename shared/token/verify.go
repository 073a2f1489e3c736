package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const algorithm = "EdDSA"

// clockSkew is how far the signer's clock may be ahead of the verifier's. It
// never lengthens a token's life.
const clockSkew = 30 * time.Second

// ErrInvalid says that a text is no token of ours, ErrExpired that it was one.
// ErrExpired is an ErrInvalid too.
var (
	ErrInvalid = errors.New("token invalid")
	ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)
)

// Sign returns the token that says c. The same claims and key give the same
// bytes. It fails only for claims that Verify would refuse for ever.
func Sign(c Claims, key ed25519.PrivateKey) (string, error) {
	if err := c.complete(); err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("sign token: no Ed25519 key")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, signed{toPayload(c)})
	t.Header["typ"] = c.Type.header()
	t.Header["kid"] = KeyID(public)
	raw, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(raw) > MaxLength {
		return "", fmt.Errorf("sign token: %d bytes are more than %d", len(raw), MaxLength)
	}
	return raw, nil
}

// Verify returns what raw says when it is a token of ours, of whichever type,
// under one of the keys, for now. Otherwise the error is ErrInvalid, or
// ErrExpired together with the claims when the time alone is wrong: the caller
// decides whether an old token still says something.
func Verify(raw string, keys Keys, now time.Time) (Claims, error) {
	if len(raw) > MaxLength {
		return Claims{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxLength)
	}
	if strings.IndexFunc(raw, foreign) >= 0 {
		// Go's base64 skips line breaks, so two texts would be one token.
		return Claims{}, fmt.Errorf("%w: a character that no token has", ErrInvalid)
	}
	var s signed
	// Times are compared below, so that a leeway holds for the signer's clock
	// and not for a token's end.
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
	if err := c.complete(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if typ, _ := t.Header["typ"].(string); typ != c.Type.header() {
		return Claims{}, fmt.Errorf("%w: typ %q in a token of type %q", ErrInvalid, typ, c.Type)
	}
	if s.Issuer != Issuer || s.Audience != Audience {
		return Claims{}, fmt.Errorf("%w: issuer %q, audience %q", ErrInvalid, s.Issuer, s.Audience)
	}
	if early := now.Add(clockSkew).Unix(); early < s.NotBefore || early < s.IssuedAt {
		return Claims{}, fmt.Errorf("%w: from the future", ErrInvalid)
	}
	if !now.Before(c.ExpiresAt) {
		return c, ErrExpired
	}
	return c, nil
}

func foreign(r rune) bool {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}

// complete returns an error when a claim is missing that every token has.
func (c Claims) complete() error {
	switch {
	case c.Type.header() == "":
		return fmt.Errorf("unknown type %q", c.Type)
	case c.Subject == "", c.SessionID == "", c.ID == "":
		return errors.New("no subject, session or id")
	case (c.FamilyID == "") != (c.Type == Access):
		return errors.New("a family belongs to refresh tokens, and to each")
	case c.IssuedAt.Unix() <= 0, !c.ExpiresAt.After(c.IssuedAt):
		return errors.New("no life")
	}
	return nil
}

// signed makes a payload what the library calls claims. The library's own
// validation is off, so its accessors are never asked.
type signed struct{ payload }

func (signed) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (signed) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (signed) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (signed) GetIssuer() (string, error)                   { return Issuer, nil }
func (signed) GetSubject() (string, error)                  { return "", nil }
func (signed) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
