package authtest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/contract/authapi"
)

// Epoch is a time that stores keep without loss: it has whole milliseconds.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// NewUser returns a user in which every field is set.
func NewUser(id, email string) auth.User {
	return auth.User{
		ID: id, Email: email, Name: "Ann Ünïcode", Role: auth.RoleAdmin, Active: true,
		PasswordHash: "$argon2id$...", PasswordVersion: 3, Version: 7,
		CreatedAt: Epoch, UpdatedAt: Epoch.Add(time.Hour),
	}
}

// NewUserSessions returns a record with a family for each id, in which every field
// is set. The current session of family f1 is f1-1, and it replaced f1-0.
func NewUserSessions(familyIDs ...string) auth.UserSessions {
	us := auth.UserSessions{PasswordVersion: 4}
	for i, id := range familyIDs {
		at := Epoch.Add(time.Duration(i) * time.Minute)
		us.Families = append(us.Families, auth.Family{
			ID: id, CreatedAt: at, Previous: id + "-0",
			Device:  authapi.Device{Address: "192.0.2.7", UserAgent: `curl/8 "quoted"`},
			Current: auth.Session{ID: id + "-1", StartedAt: at.Add(time.Second), ExpiresAt: at.Add(time.Hour)},
		})
	}
	return us
}

// UsersSuite is the conformance suite of auth.Users.
type UsersSuite struct {
	// Open returns an empty store. It is called for each subtest.
	Open func(t *testing.T) auth.Users
}

// Conform runs the suite.
func (s UsersSuite) Conform(t *testing.T) {
	t.Run("a stored user is returned unchanged", s.storesEveryField)
	t.Run("unknown users are not found", s.unknownUsers)
	t.Run("query operators in ids are plain text", s.queryOperators)
	t.Run("adding the same user again returns the first", s.addAgain)
	t.Run("an address belongs to one user", s.emailTaken)
	t.Run("rehash replaces only the expected hash", s.rehash)
	t.Run("concurrent users compete for one address", s.concurrentAdds)
}

func (s UsersSuite) storesEveryField(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	want := NewUser("u1", "ann@example.com")
	requireAllFieldsSet(t, want)
	if got, err := users.Add(ctx, want); err != nil || got != want {
		t.Fatalf("add: got %+v, %v, want %+v", got, err, want)
	}
	if got, err := users.User(ctx, "u1"); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if id, err := users.IDByEmail(ctx, "ann@example.com"); err != nil || id != "u1" {
		t.Errorf("id by e-mail: got %q, %v, want u1", id, err)
	}
}

func (s UsersSuite) unknownUsers(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	if _, err := users.User(ctx, "u1"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("user: got %v, want ErrNoUser", err)
	}
	if _, err := users.IDByEmail(ctx, "ann@example.com"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("id by e-mail: got %v, want ErrNoUser", err)
	}
	if err := users.Rehash(ctx, "u1", "a", "b"); err != nil {
		t.Errorf("rehash: got %v, want no error", err)
	}
}

func (s UsersSuite) queryOperators(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	for _, text := range []string{`{"$ne": null}`, "$where", "a.b", ""} {
		if _, err := users.User(ctx, text); !errors.Is(err, auth.ErrNoUser) {
			t.Errorf("%q: got %v, want ErrNoUser", text, err)
		}
	}
}

func (s UsersSuite) addAgain(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	first := NewUser("u1", "ann@example.com")
	if _, err := users.Add(ctx, first); err != nil {
		t.Fatal(err)
	}
	repeated := first
	repeated.PasswordHash = "another salt"
	if got, err := users.Add(ctx, repeated); err != nil || got != first {
		t.Errorf("got %+v, %v, want the first user %+v", got, err, first)
	}
}

func (s UsersSuite) emailTaken(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	if _, err := users.Add(ctx, NewUser("u1", "ann@example.com")); err != nil {
		t.Fatal(err)
	}
	if _, err := users.Add(ctx, NewUser("u2", "ann@example.com")); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("got %v, want ErrEmailTaken", err)
	}
	if _, err := users.User(ctx, "u2"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("the refused user: got %v, want ErrNoUser", err)
	}
}

func (s UsersSuite) rehash(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	u := NewUser("u1", "ann@example.com")
	if _, err := users.Add(ctx, u); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, want string }{
		{"not this one", u.PasswordHash},
		{u.PasswordHash, "new"},
	} {
		if err := users.Rehash(ctx, "u1", tt.from, "new"); err != nil {
			t.Fatal(err)
		}
		want := u
		want.PasswordHash = tt.want
		if got, err := users.User(ctx, "u1"); err != nil || got != want {
			t.Errorf("from %q: got %+v, %v, want %+v", tt.from, got, err, want)
		}
	}
}

func (s UsersSuite) concurrentAdds(t *testing.T) {
	users, ctx := s.Open(t), t.Context()
	const workers, repetitions = 16, 5
	for n := range repetitions {
		email := fmt.Sprintf("ann%d@example.com", n)
		var winners sync.Map
		var won atomic.Int64
		runConcurrently(workers, func(i int) {
			u := NewUser(fmt.Sprintf("r%d-u%d", n, i), email)
			switch _, err := users.Add(ctx, u); {
			case err == nil:
				won.Add(1)
				winners.Store(u.ID, true)
			case !errors.Is(err, auth.ErrEmailTaken):
				t.Errorf("add: got %v, want ErrEmailTaken", err)
			}
		})
		owner, err := users.IDByEmail(ctx, email)
		if _, ok := winners.Load(owner); err != nil || won.Load() != 1 || !ok {
			t.Errorf("got %d winners and owner %q, %v, want one winner that owns the address", won.Load(), owner, err)
		}
		for i := range workers {
			id := fmt.Sprintf("r%d-u%d", n, i)
			if _, err := users.User(ctx, id); (err == nil) != (id == owner) {
				t.Errorf("user %s: got %v, want only owner %s to be stored", id, err, owner)
			}
		}
	}
}

// SessionsSuite is the conformance suite of auth.Sessions.
type SessionsSuite struct {
	Sessions auth.Sessions
	// NewUserID returns the id of a user without a record, another one at each call.
	NewUserID func() string
}

// Conform runs the suite.
func (s SessionsSuite) Conform(t *testing.T) {
	t.Run("a user without a record has no families", s.noRecord)
	t.Run("a stored record is returned unchanged", s.storesEveryField)
	t.Run("a stale version is refused", s.staleVersion)
	t.Run("concurrent updates lose nothing", s.concurrentUpdates)
}

func (s SessionsSuite) noRecord(t *testing.T) {
	us, version, err := s.Sessions.Load(t.Context(), s.NewUserID())
	if err != nil || version != "" || us.PasswordVersion != 0 || us.Families != nil {
		t.Errorf("got %+v, %q, %v, want an empty record", us, version, err)
	}
}

func (s SessionsSuite) storesEveryField(t *testing.T) {
	ctx, id := t.Context(), s.NewUserID()
	requireAllFieldsSet(t, NewUserSessions("f1"))
	for _, want := range []auth.UserSessions{NewUserSessions("f1", "f2"), NewUserSessions("f2"), NewUserSessions()} {
		_, version, err := s.Sessions.Load(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Sessions.Save(ctx, id, want, version); err != nil {
			t.Fatal(err)
		}
		got, _, err := s.Sessions.Load(ctx, id)
		if err != nil || got.PasswordVersion != want.PasswordVersion || !slices.Equal(got.Families, want.Families) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func (s SessionsSuite) staleVersion(t *testing.T) {
	ctx, id := t.Context(), s.NewUserID()
	if err := s.Sessions.Save(ctx, id, NewUserSessions("f1"), ""); err != nil {
		t.Fatal(err)
	}
	_, stale, err := s.Sessions.Load(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sessions.Save(ctx, id, NewUserSessions("f2"), stale); err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]string{"no version": "", "an older version": stale} {
		if err := s.Sessions.Save(ctx, id, NewUserSessions("f3"), version); !errors.Is(err, auth.ErrStale) {
			t.Errorf("%s: got %v, want ErrStale", name, err)
		}
	}
	got, _, err := s.Sessions.Load(ctx, id)
	if err != nil || len(got.Families) != 1 || got.Families[0].ID != "f2" {
		t.Errorf("got %+v, %v, want family f2", got, err)
	}
}

func (s SessionsSuite) concurrentUpdates(t *testing.T) {
	ctx, id := t.Context(), s.NewUserID()
	const workers = 8
	runConcurrently(workers, func(i int) {
		for {
			us, version, err := s.Sessions.Load(ctx, id)
			if err != nil {
				t.Error(err)
				return
			}
			us.Families = append(us.Families, NewUserSessions(fmt.Sprint("f", i)).Families...)
			if err = s.Sessions.Save(ctx, id, us, version); err == nil {
				return
			} else if !errors.Is(err, auth.ErrStale) {
				t.Error(err)
				return
			}
		}
	})
	got, _, err := s.Sessions.Load(ctx, id)
	if err != nil || len(got.Families) != workers {
		t.Errorf("got %d families, %v, want %d", len(got.Families), err, workers)
	}
}

// AttemptsSuite is the conformance suite of auth.Attempts.
type AttemptsSuite struct {
	// Open returns an empty counter, and a function that advances its clock. It is
	// called for each subtest.
	Open func(t *testing.T) (attempts auth.Attempts, advance func(time.Duration))
}

// Conform runs the suite.
func (s AttemptsSuite) Conform(t *testing.T) {
	t.Run("five failures lock and each further one doubles the lock", s.locks)
	t.Run("a correct password clears the failures", s.clear)
	t.Run("an attempt without verification is taken back", s.withdraw)
	t.Run("failures are forgotten after an hour", s.forgets)
	t.Run("failures from many addresses delay but do not lock", s.delays)
	t.Run("200 concurrent guesses count as 200 attempts", s.concurrentGuesses)
}

// allowed is the decision for an attempt that may proceed at once.
var allowed = auth.AttemptDecision{}

func begin(t *testing.T, a auth.Attempts, account, address string) auth.AttemptDecision {
	t.Helper()
	d, err := a.Begin(t.Context(), account, address)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s AttemptsSuite) locks(t *testing.T) {
	a, advance := s.Open(t)
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Fatalf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
	for _, lock := range []time.Duration{1, 2, 4, 8, 15, 15} {
		lock *= time.Minute
		for range 3 { // an attempt during the lock does not extend it
			if got := begin(t, a, "ann", "a"); !got.Locked || !isAbout(got.RetryAfter, lock) {
				t.Fatalf("got %+v, want locked for %s", got, lock)
			}
		}
		if got := begin(t, a, "ann", "b"); got.Locked {
			t.Errorf("another address: got %+v, want it not locked", got)
		}
		if got := begin(t, a, "ben", "a"); got.Locked {
			t.Errorf("another account: got %+v, want it not locked", got)
		}
		must(t, a.Clear(t.Context(), "ann", "b"))
		must(t, a.Clear(t.Context(), "ben", "a"))
		advance(lock)
		if got := begin(t, a, "ann", "a"); got.Locked {
			t.Fatalf("after %s: got %+v, want it not locked", lock, got)
		}
	}
}

func (s AttemptsSuite) clear(t *testing.T) {
	a, _ := s.Open(t)
	for range 30 {
		for range 5 {
			if got := begin(t, a, "ann", "a"); got.Locked {
				t.Fatalf("got %+v, want it not locked", got)
			}
		}
		for range 5 {
			must(t, a.Clear(t.Context(), "ann", "a"))
		}
	}
	if got := begin(t, a, "ann", "a"); got != allowed {
		t.Errorf("after correct passwords only: got %+v, want it allowed", got)
	}
}

func (s AttemptsSuite) withdraw(t *testing.T) {
	a, _ := s.Open(t)
	for range 30 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Fatalf("got %+v, want it allowed", got)
		}
		must(t, a.Withdraw(t.Context(), "ann", "a"))
	}
	must(t, a.Withdraw(t.Context(), "ann", "a"))
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Errorf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
	must(t, a.Withdraw(t.Context(), "ann", "a")) // the attempt that locked
	if got := begin(t, a, "ann", "a"); got != allowed {
		t.Errorf("after the fifth was taken back: got %+v, want it allowed", got)
	}
	if got := begin(t, a, "ann", "a"); !got.Locked {
		t.Errorf("after the fifth failure: got %+v, want it locked", got)
	}
}

func (s AttemptsSuite) forgets(t *testing.T) {
	a, advance := s.Open(t)
	for range 4 {
		begin(t, a, "ann", "a")
	}
	advance(auth.PairFailureTTL)
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Errorf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
}

func (s AttemptsSuite) delays(t *testing.T) {
	a, advance := s.Open(t)
	for i := range 60 {
		want := auth.AttemptDecision{Delay: auth.LoginDelay(i)}
		if got := begin(t, a, "ann", fmt.Sprint("address", i)); got != want {
			t.Fatalf("attempt %d: got %+v, want %+v", i+1, got, want)
		}
	}
	if got := begin(t, a, "ben", "address1"); got != allowed {
		t.Errorf("another account: got %+v, want it allowed", got)
	}
	advance(auth.AccountFailureTTL)
	if got := begin(t, a, "ann", "new"); got != allowed {
		t.Errorf("after %s: got %+v, want it allowed", auth.AccountFailureTTL, got)
	}
}

func (s AttemptsSuite) concurrentGuesses(t *testing.T) {
	a, _ := s.Open(t)
	var admitted atomic.Int64
	runConcurrently(200, func(int) {
		d, err := a.Begin(t.Context(), "ann", "a")
		if err != nil {
			t.Error(err)
		}
		if !d.Locked {
			admitted.Add(1)
		}
	})
	if got := admitted.Load(); got != 5 {
		t.Errorf("got %d admitted guesses, want 5", got)
	}
}

// requireAllFieldsSet fails the test if v or a value in it is zero. A suite that
// left a field unset would not notice an adapter that does not store it.
func requireAllFieldsSet(t *testing.T, v any) {
	t.Helper()
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Fatalf("the suite does not set %s", path)
		case v.Kind() == reflect.Slice:
			walk(path, v.Index(0))
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	walk(reflect.TypeOf(v).Name(), reflect.ValueOf(v))
}

// isAbout reports whether got is at most want, and less than ten seconds below it:
// the clock of a server goes on during the test.
func isAbout(got, want time.Duration) bool { return got <= want && got > want-10*time.Second }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runConcurrently calls fn(0) to fn(n-1) at the same time and waits for all.
func runConcurrently(n int, fn func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}
