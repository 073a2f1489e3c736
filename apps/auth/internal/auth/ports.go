package auth

import (
	"context"
	"time"
)

// Users stores accounts.
type Users interface {
	// Add stores a new account. It returns ErrEmailTaken if another account has the
	// e-mail address. If an account with the same id and address exists already, Add
	// returns it unchanged, because the caller is repeating a request.
	//
	// An Add that crashes half-way may leave an address reserved without an account.
	// The next Add for the address takes it over, and an Add for the original id then
	// returns ErrEmailTaken.
	Add(ctx context.Context, u User) (User, error)
	// IDByEmail returns the id of the account that a normalised address belongs to,
	// or ErrNoUser. The account itself may not exist yet; see Add.
	IDByEmail(ctx context.Context, email string) (string, error)
	// User returns an account, or ErrNoUser.
	User(ctx context.Context, id string) (User, error)
	// Rehash stores to as the account's password hash if the stored hash is from, and
	// does nothing otherwise. Both are hashes of the same password.
	Rehash(ctx context.Context, id, from, to string) error
}

// Sessions stores one UserSessions record for each user.
type Sessions interface {
	// Load returns a user's record and its version. A user without a record has an
	// empty one, with an empty version.
	Load(ctx context.Context, userID string) (us UserSessions, version string, err error)
	// Save stores us in place of the record that Load returned with version. It returns
	// ErrStale if the stored record has another version. It may also return ErrStale
	// although it stored the record, if it retried a write whose response was lost. A
	// record is deleted UserSessionsTTL after its last Save.
	Save(ctx context.Context, userID string, us UserSessions, version string) error
}

// Attempt is a log-in attempt.
type Attempt struct {
	ID      string // identifies the attempt
	Account string // pseudonym of an e-mail address, registered or not
	Address string // pseudonym of the client's network
}

// AttemptDecision says how to proceed with a log-in attempt.
type AttemptDecision struct {
	// Locked means that the address is locked out of the account. The attempt is refused.
	Locked     bool
	RetryAfter time.Duration // until the lock ends, if Locked

	// Busy means that the address is unknown and another one has the turn. The attempt may
	// begin again.
	Busy bool

	// The attempt may proceed if it is neither Locked nor Busy. It was counted as a failure.

	HasTurn bool          // the address is unknown, and the attempt has the turn until it ends
	Delay   time.Duration // to wait before verifying the password
	Lock    time.Duration // how long the address is locked out if the attempt fails
}

// Attempts counts log-in attempts by account and client address, and remembers from which
// addresses an account was used. An address is known to an account for KnownAddressTTL
// after a successful log-in.
//
// An attempt that may proceed ends with one of Fail, Withdraw and Succeed.
type Attempts interface {
	// Begin counts an attempt as a failure, unless the pair of account and address is
	// locked, or the address has to wait for its turn: from ThrottleThreshold recent
	// failures of the account on, the attempts from all addresses that are not known to
	// the account take turns.
	Begin(ctx context.Context, a Attempt) (AttemptDecision, error)
	// Fail ends an attempt whose password was wrong. It stays counted.
	Fail(ctx context.Context, a Attempt) error
	// Withdraw takes back an attempt whose password was not verified.
	Withdraw(ctx context.Context, a Attempt) error
	// Succeed takes back an attempt whose password was correct, and forgets the
	// failures of the pair. The address is known from now on.
	Succeed(ctx context.Context, a Attempt) error
	// Remember makes an address known to an account that was created from it. If it fails,
	// the address becomes known with its next log-in.
	Remember(ctx context.Context, account, address string)
}

// Cache publishes sessions and users to other processes, mainly the gateway. It is
// called after the records have changed. Its methods return no errors: a fill that
// fails costs a later look-up, and an invalidation that fails is retried.
type Cache interface {
	// LeaseUser returns a lease for FillUser. Callers take it before they read the
	// user's record. The lease is empty if no fill is needed.
	LeaseUser(ctx context.Context, userID string) (lease string)
	// FillUser stores a user that was read after the lease was taken.
	FillUser(ctx context.Context, lease string, u User)
	// Fill stores a live session and its user, which were read after the lease was
	// taken.
	Fill(ctx context.Context, lease string, userID string, f Family, u User)
	// End leaves a tombstone for each session: an ended session never becomes live
	// again.
	End(ctx context.Context, sessionIDs ...string)
	// DropUser removes a user, so that the next look-up reads the record.
	DropUser(ctx context.Context, userID string)
}

// Locker serialises work that should not run concurrently. It is an optimisation:
// correctness must not depend on it.
type Locker interface {
	// Lock waits a short time for the lock and returns with or without it. The
	// caller must call unlock in either case.
	Lock(ctx context.Context, name string) (unlock func())
}

// Keys provides the keys that sign and verify tokens.
type Keys interface {
	// Keyring returns the keys. It returns an error until they have been loaded.
	Keyring() (*Keyring, error)
}

// Clock provides the time.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Sleep waits for d, or returns ctx.Err() if ctx ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// IDs generates identifiers.
type IDs interface {
	// NewID returns an unguessable id that was never returned before.
	NewID() string
}
