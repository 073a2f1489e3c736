// Package token signs and verifies the JSON Web Tokens (RFC 7519) of this backend. It
// also encodes the public keys as a JSON Web Key Set (RFC 7517). Auth calls [Sign],
// because only auth has private keys. The gateway calls [Verify].
//
// The only algorithm is EdDSA over Ed25519 (RFC 8037). It is deterministic: signing the
// same claims with the same key always produces the same token.
//
// Verify follows the JWT best current practices (RFC 8725). The algorithm is fixed, the
// key is looked up by its exact id, and the type, issuer, audience and times are checked.
package token

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxLength is the maximum length of a token in bytes.
	MaxLength = 4096

	// Issuer is the iss claim of every token.
	Issuer = "boxoffice"
	// Audience is the aud claim of every token. It equals Issuer, because the tokens are
	// meant only for the backend that issues them.
	Audience = "boxoffice"

	// algorithm is the alg header of every token.
	algorithm = "EdDSA"
)

// Type distinguishes access tokens from refresh tokens. A token of one type is never
// accepted in place of the other.
type Type string

// The types of tokens and their typ headers. RFC 9068 defines the header of access
// tokens.
const (
	Access  Type = "access"
	Refresh Type = "refresh"

	accessHeader  = "at+jwt"
	refreshHeader = "rt+jwt"
)

// header returns the typ header for t, or "" if t is unknown.
func (t Type) header() string {
	switch t {
	case Access:
		return accessHeader
	case Refresh:
		return refreshHeader
	}
	return ""
}

// Claims are the contents of a token. Times have a precision of one second.
type Claims struct {
	Type      Type
	Subject   string // the user's id
	SessionID string // the id of a session, which ends with the next refresh
	FamilyID  string // the id of a log-in and all its refreshes; only in refresh tokens
	Email     string // only in access tokens
	Role      string // only in access tokens; the role at the time of signing, which may be out of date
	ID        string // the jti claim
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// validate returns an error unless c has a known type, a subject, a session and an id,
// has a family if and only if it is a refresh token, and expires after it was issued.
func (c Claims) validate() error {
	switch {
	case c.Type.header() == "":
		return fmt.Errorf("unknown type %q", c.Type)
	case c.Subject == "", c.SessionID == "", c.ID == "":
		return errors.New("subject, session id or token id is missing")
	case (c.FamilyID == "") != (c.Type == Access):
		return errors.New("family id is missing in a refresh token or set in an access token")
	case c.IssuedAt.Unix() <= 0, !c.ExpiresAt.After(c.IssuedAt):
		return errors.New("issue time is missing, or expiry is not after it")
	}
	return nil
}

// payload is the JSON form of Claims. The order of its fields must not change, because it
// determines the bytes that are signed.
type payload struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	Type      Type   `json:"type"`
	SessionID string `json:"sessionId"`
	FamilyID  string `json:"familyId,omitempty"`
	Email     string `json:"email,omitempty"`
	Role      string `json:"role,omitempty"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	ExpiresAt int64  `json:"exp"`
}

func toPayload(c Claims) payload {
	return payload{
		Issuer: Issuer, Audience: Audience,
		Subject: c.Subject, Type: c.Type, SessionID: c.SessionID, FamilyID: c.FamilyID,
		Email: c.Email, Role: c.Role, ID: c.ID,
		IssuedAt: c.IssuedAt.Unix(), NotBefore: c.IssuedAt.Unix(), ExpiresAt: c.ExpiresAt.Unix(),
	}
}

func (p payload) claims() Claims {
	return Claims{
		Type: p.Type, Subject: p.Subject, SessionID: p.SessionID, FamilyID: p.FamilyID,
		Email: p.Email, Role: p.Role, ID: p.ID,
		IssuedAt: time.Unix(p.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(p.ExpiresAt, 0).UTC(),
	}
}
