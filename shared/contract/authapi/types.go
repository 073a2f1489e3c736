package authapi

import "boxoffice/shared/contract"

// Roles of a user.
const (
	RoleUser  = "user"
	RoleAdmin = "admin"
)

// User is an account, without its credentials.
type User struct {
	ID        string        `json:"id"`
	Email     string        `json:"email"`
	Name      string        `json:"name"`
	Role      string        `json:"role"`
	IsActive  bool          `json:"isActive"`
	CreatedAt contract.Time `json:"createdAt"`
}

// Tokens are the credentials of a session.
type Tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	TokenType    string `json:"tokenType"` // always Bearer
	ExpiresIn    int64  `json:"expiresIn"` // time for which the access token is still valid, in seconds
}

// MaxUserAgent is the maximum length of a user agent in bytes. The gateway and auth
// truncate a longer one at the boundary of a code point.
const MaxUserAgent = 256

// Device is the origin of a request. Log-in attempts are counted by its address, that of
// an IPv6 client by its /64, and auth stores it with the session family.
type Device struct {
	Address   string `json:"address"` // of the client, without a port
	UserAgent string `json:"userAgent"`
}

// RegisterRequest is the request of Register.
type RegisterRequest struct {
	// UserID is the id of the new user. The caller generates one for each account, and
	// sends the same one in every retry.
	UserID   string `json:"userId"`
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
	Role     string `json:"role,omitempty"` // empty means RoleUser
	// CallerToken is the access token of the client that sent the request. It is needed
	// only for an admin: auth verifies it and looks up its session and user, because a
	// field that merely claims to come from an admin could be forged by any program that
	// reaches auth's sidecar.
	CallerToken string `json:"callerToken,omitempty"`
	Device      Device `json:"device"`
}

// LogInRequest is the request of LogIn.
type LogInRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Device   Device `json:"device"`
}

// Login is the response of Register and LogIn: a user and the tokens of a new
// session.
type Login struct {
	User   User   `json:"user"`
	Tokens Tokens `json:"tokens"`
}

// RefreshRequest is the request of Refresh.
type RefreshRequest struct {
	RefreshToken string  `json:"refreshToken"`
	Email        *string `json:"email,omitempty"` // if present, it must be the e-mail address of the session's user
}

// Refreshed is the response of Refresh: the tokens of the successor session.
type Refreshed struct {
	Tokens Tokens `json:"tokens"`
}

// LogOutRequest is the request of LogOut.
type LogOutRequest struct {
	RefreshToken string `json:"refreshToken"` // any token of the family, even an expired one
}

// CheckSessionRequest is the request of CheckSession. The ids are those of a
// verified access token.
type CheckSessionRequest struct {
	UserID    string `json:"userId"`
	SessionID string `json:"sessionId"`
	// Lease is the lease that the gateway got with its cache miss. Auth fills the cache
	// under this lease. It may be empty.
	Lease string `json:"lease,omitempty"`
}

// Session is a live session.
type Session struct {
	ID        string        `json:"id"`       // as in its tokens
	FamilyID  string        `json:"familyId"` // stays the same across refreshes
	UserID    string        `json:"userId"`
	ExpiresAt contract.Time `json:"expiresAt"`
}

// CheckedSession is the response of CheckSession: a live session and its user, which
// may be inactive.
type CheckedSession struct {
	Session Session `json:"session"`
	User    User    `json:"user"`
}
