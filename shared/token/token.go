// Package token signs and verifies the JSON Web Tokens (RFC 7519) of this backend,
// and encodes their public keys as a JSON Web Key Set (RFC 7517). Auth, the only
// holder of private keys, calls [Sign]. The gateway calls [Verify].
//
// The only algorithm is EdDSA over Ed25519 (RFC 8037). It is deterministic: the same
// claims signed with the same key are the same bytes.
//
// Verify follows the JWT best current practices (RFC 8725). The algorithm is fixed,
// the key is looked up by its exact id, and type, issuer, audience and times are all
// checked.
package token

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxLength is the maximum length of a token in bytes.
	MaxLength = 4096

	// Issuer and Audience are the iss and aud claims of every token. Auth signs
	// tokens for this backend alone.
	Issuer   = "boxoffice"
	Audience = "boxoffice"

	// algorithm is the alg header of every token.
	algorithm = "EdDSA"
)

// Type is the purpose of a token. A token of one type is never accepted as one of
// the other.
type Type string

// The types of tokens. Each has a typ header of its own: RFC 9068 defines that of
// access tokens.
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
	Subject   string // id of the user
	SessionID string // a session ends with the next refresh
	FamilyID  string // a log-in and all its refreshes; only in refresh tokens
	Email     string // only in access tokens
	Role      string // only in access tokens; the role when the token was signed, which may be out of date
	ID        string // jti
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// validate returns an error unless c has every claim of its type and expires after
// it was issued.
func (c Claims) validate() error {
	switch {
	case c.Type.header() == "":
		return fmt.Errorf("unknown type %q", c.Type)
	case c.Subject == "", c.SessionID == "", c.ID == "":
		return errors.New("subject, session or id is missing")
	case (c.FamilyID == "") != (c.Type == Access):
		return errors.New("refresh tokens must have a family, and access tokens must not")
	case c.IssuedAt.Unix() <= 0, !c.ExpiresAt.After(c.IssuedAt):
		return errors.New("token does not expire after it was issued")
	}
	return nil
}

// payload is the JSON form of Claims. The order of its fields determines the bytes
// that are signed, so it must not change.
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
