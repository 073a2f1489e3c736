// Package authtest has the fakes of auth's ports and the suites that a fake and
// the real adapter must both pass.
package authtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
)

// Users is an auth.Users in memory.
type Users struct {
	// Err, when set, is what every call returns.
	Err error

	mu     sync.Mutex
	byID   map[string]auth.User
	emails map[string]string
}

var _ auth.Users = (*Users)(nil)

// NewUsers returns no users.
func NewUsers() *Users {
	return &Users{byID: map[string]auth.User{}, emails: map[string]string{}}
}

// Add implements auth.Users.
func (s *Users) Add(_ context.Context, u auth.User) (auth.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return auth.User{}, s.Err
	}
	if owner, ok := s.emails[u.Email]; ok {
		if owner == u.ID {
			return s.byID[owner], nil
		}
		return auth.User{}, auth.ErrEmailTaken
	}
	if _, ok := s.byID[u.ID]; ok {
		return auth.User{}, auth.ErrEmailTaken
	}
	s.byID[u.ID], s.emails[u.Email] = u, u.ID
	return u, nil
}

// IDByEmail implements auth.Users.
func (s *Users) IDByEmail(_ context.Context, email string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.emails[email]; ok || s.Err != nil {
		return id, s.Err
	}
	return "", auth.ErrNoUser
}

// User implements auth.Users.
func (s *Users) User(_ context.Context, id string) (auth.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.byID[id]; ok || s.Err != nil {
		return u, s.Err
	}
	return auth.User{}, auth.ErrNoUser
}

// Rehash implements auth.Users.
func (s *Users) Rehash(_ context.Context, id, from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.byID[id]; ok && u.PasswordHash == from {
		u.PasswordHash = to
		s.byID[id] = u
	}
	return s.Err
}

// Change alters a user as an operation would, for tests.
func (s *Users) Change(id string, fn func(*auth.User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byID[id]
	fn(&u)
	u.Version++
	s.byID[id] = u
}

// Len is how many users there are.
func (s *Users) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// Sessions is an auth.Sessions in memory.
type Sessions struct {
	// Err, when set, is what every call returns.
	Err error

	mu      sync.Mutex
	entries map[string]auth.Entry
	version map[string]int
	writes  int
}

var _ auth.Sessions = (*Sessions)(nil)

// NewSessions returns no sessions.
func NewSessions() *Sessions {
	return &Sessions{entries: map[string]auth.Entry{}, version: map[string]int{}}
}

// Entry implements auth.Sessions.
func (s *Sessions) Entry(_ context.Context, userID string) (auth.Entry, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return auth.Entry{}, "", s.Err
	}
	e, ok := s.entries[userID]
	if !ok {
		return auth.Entry{}, "", nil
	}
	e.Families = slices.Clone(e.Families)
	return e, fmt.Sprint(s.version[userID]), nil
}

// Save implements auth.Sessions.
func (s *Sessions) Save(_ context.Context, userID string, e auth.Entry, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return s.Err
	}
	current := ""
	if _, ok := s.entries[userID]; ok {
		current = fmt.Sprint(s.version[userID])
	}
	if version != current {
		return auth.ErrStale
	}
	e.Families = slices.Clone(e.Families)
	s.entries[userID] = e
	s.version[userID]++
	s.writes++
	return nil
}

// Writes is how many entries were stored.
func (s *Sessions) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Cache is an auth.Cache that remembers what it was told.
type Cache struct {
	mu      sync.Mutex
	Ended   []string // sessions
	Dropped []string // users
	Filled  []string // "<lease> <session> <user>"; users alone have no session
}

var _ auth.Cache = (*Cache)(nil)

// LeaseUser implements auth.Cache.
func (c *Cache) LeaseUser(_ context.Context, userID string) string { return "lease-" + userID }

// FillUser implements auth.Cache.
func (c *Cache) FillUser(_ context.Context, lease string, u auth.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Filled = append(c.Filled, fmt.Sprintf("%s - %s", lease, u.ID))
}

// Fill implements auth.Cache.
func (c *Cache) Fill(_ context.Context, lease, userID string, f auth.Family, _ auth.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Filled = append(c.Filled, fmt.Sprintf("%s %s %s", lease, f.Current.ID, userID))
}

// End implements auth.Cache.
func (c *Cache) End(_ context.Context, sessionIDs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Ended = append(c.Ended, sessionIDs...)
}

// DropUser implements auth.Cache.
func (c *Cache) DropUser(_ context.Context, userID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Dropped = append(c.Dropped, userID)
}

// Locker is an auth.Locker that remembers the names it was asked for.
type Locker struct {
	mu    sync.Mutex
	Names []string
	Held  int
}

var _ auth.Locker = (*Locker)(nil)

// Lock implements auth.Locker.
func (l *Locker) Lock(_ context.Context, name string) (unlock func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Names = append(l.Names, name)
	l.Held++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.Held--
	}
}

// Clock is an auth.Clock that moves only when told.
type Clock struct {
	mu    sync.Mutex
	now   time.Time
	slept time.Duration
}

var _ auth.Clock = (*Clock)(nil)

// NewClock returns a clock that shows that time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now implements auth.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep implements auth.Clock: it only notes for how long.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
	return ctx.Err()
}

// Slept is for how long Sleep was asked in all.
func (c *Clock) Slept() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

// Pass moves the clock on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// IDs is an auth.IDs that counts.
type IDs struct {
	mu sync.Mutex
	n  int
}

var _ auth.IDs = (*IDs)(nil)

// NewID implements auth.IDs.
func (s *IDs) NewID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return fmt.Sprintf("id%d", s.n)
}

// Keys is an auth.Keys that may have none yet.
type Keys struct {
	Ring *auth.Keyring
	Err  error
}

var _ auth.Keys = (*Keys)(nil)

// Keyring implements auth.Keys.
func (k *Keys) Keyring() (*auth.Keyring, error) { return k.Ring, k.Err }
