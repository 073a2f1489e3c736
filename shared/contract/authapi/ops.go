// Package authapi is what auth offers to the other programs: its operations, the
// messages that they take and answer, and its facts on the bus.
package authapi

import (
	"time"

	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// App is auth's name among the apps.
const App = "auth"

// The operations. Wrong requests are refused with the code invalid, and fields
// says what is wrong; Unavailable with retryAfter means that the queue for
// passwords is full.
var (
	// Register makes an account and logs it in. Repeated with the same UserID it
	// is the same account. Refusals: auth.email_taken, auth.weak_password
	// (invalid), auth.admin_required (forbidden).
	Register = rpc.Op[RegisterRequest, Login]{App: App, Method: "auth.register", Timeout: 10 * time.Second}

	// LogIn starts a session. Refusals: auth.invalid_credentials
	// (unauthenticated), auth.locked (rate_limited).
	LogIn = rpc.Op[LogInRequest, Login]{App: App, Method: "auth.login", Timeout: 10 * time.Second}

	// Refresh replaces a session by its successor. The same token within ten
	// seconds gets the same answer; later the whole log-in ends. Refusal:
	// auth.refresh_invalid (unauthenticated).
	Refresh = rpc.Op[RefreshRequest, Refreshed]{App: App, Method: "auth.refresh", Timeout: 10 * time.Second}

	// LogOut ends a log-in. Refusal: auth.session_not_found (invalid).
	LogOut = rpc.Op[LogOutRequest, rpc.Nothing]{App: App, Method: "auth.logout", Timeout: 5 * time.Second}

	// CheckSession says whose a session is, for the gateway when its cache does
	// not know. Refusals, in this order: auth.session_invalid,
	// auth.session_expired, auth.user_inactive (unauthenticated; no such user: one
	// who is inactive is answered).
	CheckSession = rpc.Op[CheckSessionRequest, CheckedSession]{App: App, Method: "auth.session.check", Timeout: 10 * time.Second}

	// GetKeys returns the public keys that tokens verify under, those that are
	// to sign soon included.
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
