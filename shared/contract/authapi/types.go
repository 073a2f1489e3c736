package authapi

import "boxoffice/shared/contract"

// Roles of a user.
const (
	RoleUser  = "user"
	RoleAdmin = "admin"
)

// User is an account as clients see it.
type User struct {
	ID        string        `json:"id"`
	Email     string        `json:"email"`
	Name      string        `json:"name"`
	Role      string        `json:"role"`
	IsActive  bool          `json:"isActive"`
	CreatedAt contract.Time `json:"createdAt"`
}

// Tokens are what a client holds of a session.
type Tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	TokenType    string `json:"tokenType"` // Bearer
	ExpiresIn    int64  `json:"expiresIn"` // seconds that the access token lives
}

// MaxUserAgent is the length in bytes to which the gateway and auth cut a user
// agent. They cut it at the boundary of a code point.
const MaxUserAgent = 256

// Device is where a request came from, for counting attempts and for the list of
// sessions.
type Device struct {
	Address   string `json:"address"` // of the client, without a port
	UserAgent string `json:"userAgent"`
}

// RegisterRequest asks for an account.
type RegisterRequest struct {
	// UserID is chosen by the caller, anew for each account, and the same when
	// the request is repeated.
	UserID   string `json:"userId"`
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
	Role     string `json:"role,omitempty"` // RoleUser when empty
	// ByAdmin says that an admin asks, who may ask for an admin.
	ByAdmin bool   `json:"byAdmin,omitempty"`
	Device  Device `json:"device"`
}

// LogInRequest asks for a session.
type LogInRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Device   Device `json:"device"`
}

// Login is a user with the tokens of a new session.
type Login struct {
	User   User   `json:"user"`
	Tokens Tokens `json:"tokens"`
}

// RefreshRequest asks for a session's successor.
type RefreshRequest struct {
	RefreshToken string  `json:"refreshToken"`
	Email        *string `json:"email,omitempty"` // when there is one it must be the session's
}

// Refreshed are the tokens of the successor.
type Refreshed struct {
	Tokens Tokens `json:"tokens"`
}

// LogOutRequest ends a log-in by any of its refresh tokens.
type LogOutRequest struct {
	RefreshToken string `json:"refreshToken"`
}

// CheckSessionRequest asks about the session of a verified access token.
type CheckSessionRequest struct {
	UserID    string `json:"userId"`
	SessionID string `json:"sessionId"`
	// Lease is the one that the cache gave when it did not know: auth fills the
	// cache under it. May be empty.
	Lease string `json:"lease,omitempty"`
}

// Session is a live session.
type Session struct {
	ID        string        `json:"id"`       // as in its tokens
	FamilyID  string        `json:"familyId"` // the log-in: what lists of sessions call id
	UserID    string        `json:"userId"`
	ExpiresAt contract.Time `json:"expiresAt"`
}

// CheckedSession is a live session and its user, who may be inactive.
type CheckedSession struct {
	Session Session `json:"session"`
	User    User    `json:"user"`
}
