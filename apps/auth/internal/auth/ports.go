package auth

import (
	"context"
	"time"
)

// Users keeps accounts. An account that is stored is never lost.
type Users interface {
	// Add stores a new account. It returns ErrEmailTaken when its address belongs
	// to another one. An account of the same id and address that is there already
	// is returned as it is: the caller asked before. An address whose account was
	// never stored (its maker died) goes to the next who asks, and the one who
	// had it gets ErrEmailTaken should he come back.
	Add(ctx context.Context, u User) (User, error)
	// IDByEmail returns whose a normalised address is, or ErrNoUser. The account
	// may be missing all the same.
	IDByEmail(ctx context.Context, email string) (string, error)
	// User returns an account, or ErrNoUser.
	User(ctx context.Context, id string) (User, error)
	// Rehash replaces the hash of an unchanged password, if it is still from.
	// Nothing happens when it is not.
	Rehash(ctx context.Context, id, from, to string) error
}

// Sessions keeps one Entry for each user.
type Sessions interface {
	// Entry returns a user's entry and its version, which is empty when there is
	// none.
	Entry(ctx context.Context, userID string) (Entry, string, error)
	// Save stores an entry in the place of that version, or returns ErrStale when
	// another one is there. It may also return ErrStale although it stored the
	// entry. An entry that is not saved for EntryTTL is forgotten.
	Save(ctx context.Context, userID string, e Entry, version string) error
}

// Verdict is what the count of attempts says to one more.
type Verdict struct {
	Locked     bool
	RetryAfter time.Duration // until the lock ends
	Delay      time.Duration // to be waited before going on, when not locked
}

// Attempts counts log-ins that have not proved right, of accounts known or not.
type Attempts interface {
	// Begin counts one, unless the pair is locked.
	Begin(ctx context.Context, account, address string) (Verdict, error)
	// Withdraw takes back one whose password was not looked at.
	Withdraw(ctx context.Context, account, address string) error
	// Clear takes back one that was right, and forgets the failures of the pair.
	Clear(ctx context.Context, account, address string) error
}

// Cache tells others, the gateway above all, about sessions and users. It is a
// help: it never fails, and what it could not say now it says again later. It is
// told after the records have changed.
type Cache interface {
	// LeaseUser asks to fill in a user whose record is read next; it returns an
	// empty lease when that is not wanted.
	LeaseUser(ctx context.Context, userID string) (lease string)
	// FillUser fills in what was read after the lease was given.
	FillUser(ctx context.Context, lease string, u User)
	// Fill does it for a live session and its user.
	Fill(ctx context.Context, lease string, userID string, f Family, u User)
	// End says that sessions are over, for ever.
	End(ctx context.Context, sessionIDs ...string)
	// DropUser says that a user has to be asked about.
	DropUser(ctx context.Context, userID string)
}

// Locker keeps work from being done twice at once. Nothing depends on it.
type Locker interface {
	// Lock tries for a short while and returns, with the lock or without it. The
	// caller calls unlock when it is done.
	Lock(ctx context.Context, name string) (unlock func())
}

// Keys has the keys that tokens are signed and verified with.
type Keys interface {
	// Keyring returns them. It fails while they are not known yet.
	Keyring() (*Keyring, error)
}

// Clock tells the time.
type Clock interface {
	Now() time.Time
	// Sleep waits, or returns the context's error when that is done first.
	Sleep(ctx context.Context, d time.Duration) error
}

// IDs makes ids that nobody can guess and that never repeat.
type IDs interface {
	NewID() string
}
