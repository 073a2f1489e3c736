// Package authapi is the contract of the auth app: its operations and their
// requests and responses. Auth publishes no facts.
package authapi

import (
	"time"

	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// App is the Dapr app id of the auth app.
const App = "auth"

// The operations of auth. Each refuses an invalid request with the code invalid and
// lists the invalid fields. An operation that hashes a password returns unavailable
// with retryAfter if the queue for hashing is full.
var (
	// Register creates an account and logs it in. Only the token of an admin creates
	// another admin. Repeating a request with the same UserID, e-mail address and
	// password logs the existing account in; with another password it is refused like a
	// registration of another account's address, and counts as a failed log-in. Refusals:
	// auth.email_taken and auth.weak_password (both invalid), auth.admin_required
	// (forbidden), and for a repeated request auth.locked (rate_limited, with retryAfter).
	Register = rpc.Op[RegisterRequest, Login]{App: App, Method: "auth.register", Timeout: 10 * time.Second}

	// LogIn verifies a password and starts a session. Refusals:
	// auth.invalid_credentials (unauthenticated), auth.locked (rate_limited, with
	// retryAfter).
	LogIn = rpc.Op[LogInRequest, Login]{App: App, Method: "auth.login", Timeout: 10 * time.Second}

	// Refresh replaces a session with its successor. Repeating it with the same token
	// within ten seconds returns the same tokens. A later use of the token ends the
	// session family. Refusal: auth.refresh_invalid (unauthenticated).
	Refresh = rpc.Op[RefreshRequest, Refreshed]{App: App, Method: "auth.refresh", Timeout: 10 * time.Second}

	// LogOut ends a session family. Refusal: auth.session_not_found (invalid).
	LogOut = rpc.Op[LogOutRequest, rpc.Nothing]{App: App, Method: "auth.logout", Timeout: 5 * time.Second}

	// CheckSession returns a session and its user. The gateway calls it when its
	// cache misses. Refusals, checked in this order: auth.session_invalid,
	// auth.session_expired, auth.user_inactive (all unauthenticated). Despite its
	// name, auth.user_inactive means that the user does not exist; an inactive user is
	// returned, and the gateway refuses it.
	CheckSession = rpc.Op[CheckSessionRequest, CheckedSession]{App: App, Method: "auth.session.check", Timeout: 10 * time.Second}

	// GetKeys returns the public keys that verify tokens, including keys with which
	// auth does not sign yet.
	GetKeys = rpc.Op[rpc.Nothing, token.KeySet]{App: App, Method: "auth.jwks", Timeout: 10 * time.Second}
)

// Reasons of refusals.
const (
	ReasonEmailTaken         = "auth.email_taken"
	ReasonWeakPassword       = "auth.weak_password"
	ReasonInvalidCredentials = "auth.invalid_credentials"
	ReasonLocked             = "auth.locked"
	ReasonRefreshInvalid     = "auth.refresh_invalid"
	ReasonSessionNotFound    = "auth.session_not_found"
	ReasonSessionInvalid     = "auth.session_invalid"
	ReasonSessionExpired     = "auth.session_expired"
	ReasonUserInactive       = "auth.user_inactive"
	ReasonAdminRequired      = "auth.admin_required"
)
