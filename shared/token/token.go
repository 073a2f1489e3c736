// Package token is the form of the tokens that auth signs and the gateway
// checks: their claims, how to verify one, and the JSON Web Key Set by which the
// public keys travel. Only auth has private keys; Sign is for it.
//
// There is one algorithm, EdDSA over Ed25519 (RFC 8037), and it is deterministic:
// the same claims under the same key are the same bytes. What RFC 8725 asks for
// is checked here: the algorithm is fixed, the key is looked up by its exact id,
// and type, issuer, audience and times must all be right.
package token

import "time"

const (
	// MaxLength is the longest token that is looked at, in bytes.
	MaxLength = 4096

	// Issuer and Audience are what every token names, since auth signs for this
	// backend alone.
	Issuer   = "boxoffice"
	Audience = "boxoffice"
)

// Type says what a token is for; one never serves for another.
type Type string

// The types, and the typ header that goes with each (RFC 9068 for access).
const (
	Access  Type = "access"
	Refresh Type = "refresh"

	accessHeader  = "at+jwt"
	refreshHeader = "rt+jwt"
)

func (t Type) header() string {
	switch t {
	case Access:
		return accessHeader
	case Refresh:
		return refreshHeader
	}
	return ""
}

// Claims are what a token says. Times are whole seconds.
type Claims struct {
	Type      Type
	Subject   string // the user's id
	SessionID string // one session: ends with the next refresh
	FamilyID  string // the log-in and all its refreshes; in refresh tokens only
	Email     string // in access tokens only, as is Role
	Role      string // what it was when the token was signed; the record's counts
	ID        string // jti
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// payload is Claims on the wire. The order of its fields is part of the bytes
// that are signed.
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
