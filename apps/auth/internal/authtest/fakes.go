// Package authtest provides in-memory fakes of auth's ports, and the conformance
// suites that the fakes and the real adapters must pass.
package authtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
)

// Users is an in-memory auth.Users.
type Users struct {
	// Err, if not nil, is returned by every call.
	Err error

	mu     sync.Mutex
	byID   map[string]auth.User
	emails map[string]string
}

var _ auth.Users = (*Users)(nil)

// NewUsers returns a store without users.
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

// Update applies fn to a user and raises its version.
func (s *Users) Update(id string, fn func(*auth.User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byID[id]
	fn(&u)
	u.Version++
	s.byID[id] = u
}

// Len returns the number of users.
func (s *Users) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// Sessions is an in-memory auth.Sessions.
type Sessions struct {
	// Err, if not nil, is returned by every call.
	Err error

	mu       sync.Mutex
	records  map[string]auth.UserSessions
	versions map[string]int
	writes   int
}

var _ auth.Sessions = (*Sessions)(nil)

// NewSessions returns a store without records.
func NewSessions() *Sessions {
	return &Sessions{records: map[string]auth.UserSessions{}, versions: map[string]int{}}
}

// Load implements auth.Sessions.
func (s *Sessions) Load(_ context.Context, userID string) (auth.UserSessions, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return auth.UserSessions{}, "", s.Err
	}
	us, ok := s.records[userID]
	if !ok {
		return auth.UserSessions{}, "", nil
	}
	us.Families = slices.Clone(us.Families)
	return us, fmt.Sprint(s.versions[userID]), nil
}

// Save implements auth.Sessions.
func (s *Sessions) Save(_ context.Context, userID string, us auth.UserSessions, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return s.Err
	}
	current := ""
	if _, ok := s.records[userID]; ok {
		current = fmt.Sprint(s.versions[userID])
	}
	if version != current {
		return auth.ErrStale
	}
	us.Families = slices.Clone(us.Families)
	s.records[userID] = us
	s.versions[userID]++
	s.writes++
	return nil
}

// Writes returns the number of successful calls of Save.
func (s *Sessions) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Cache is an auth.Cache that records its calls.
type Cache struct {
	mu      sync.Mutex
	Ended   []string // session ids
	Dropped []string // user ids
	Filled  []string // "<lease> <session id> <user id>"; "-" is the session id of FillUser
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

// Locker is an auth.Locker that records its calls and never waits.
type Locker struct {
	mu    sync.Mutex
	Names []string // of all locks so far
	Held  int      // locks that have not been unlocked
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

// Clock is an auth.Clock that stands still between calls of Advance.
type Clock struct {
	mu    sync.Mutex
	now   time.Time
	slept time.Duration
}

var _ auth.Clock = (*Clock)(nil)

// NewClock returns a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now implements auth.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep implements auth.Clock. It returns at once and adds d to Slept.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
	return ctx.Err()
}

// Slept returns the total of the durations passed to Sleep.
func (c *Clock) Slept() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

// Advance moves the clock forward by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// IDs is an auth.IDs that returns id1, id2 and so on.
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

// Keys is an auth.Keys that returns its fields.
type Keys struct {
	Ring *auth.Keyring
	Err  error
}

var _ auth.Keys = (*Keys)(nil)

// Keyring implements auth.Keys.
func (k *Keys) Keyring() (*auth.Keyring, error) { return k.Ring, k.Err }
