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

// Epoch is a time with nothing in it that a store would cut off.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// User returns a user with every field set.
func User(id, email string) auth.User {
	return auth.User{
		ID: id, Email: email, Name: "Ann Ünïcode", Role: auth.RoleAdmin, Active: true,
		PasswordHash: "$argon2id$...", PasswordVersion: 3, Version: 7,
		CreatedAt: Epoch, UpdatedAt: Epoch.Add(time.Hour),
	}
}

// TestUsers checks an auth.Users. open returns an empty one.
func TestUsers(t *testing.T, open func(t *testing.T) auth.Users) {
	t.Run("comes back as it was", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		want := User("u1", "ann@example.com")
		filled(t, want)
		if got, err := users.Add(ctx, want); err != nil || got != want {
			t.Fatalf("add: got %+v, %v", got, err)
		}
		if got, err := users.User(ctx, "u1"); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if id, err := users.IDByEmail(ctx, "ann@example.com"); err != nil || id != "u1" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		if _, err := users.User(ctx, "u1"); !errors.Is(err, auth.ErrNoUser) {
			t.Errorf("user: %v", err)
		}
		if _, err := users.IDByEmail(ctx, "ann@example.com"); !errors.Is(err, auth.ErrNoUser) {
			t.Errorf("address: %v", err)
		}
		if err := users.Rehash(ctx, "u1", "a", "b"); err != nil {
			t.Errorf("rehash: %v", err)
		}
	})
	t.Run("an operator is a text", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		for _, text := range []string{`{"$ne": null}`, "$where", "a.b", ""} {
			if _, err := users.User(ctx, text); !errors.Is(err, auth.ErrNoUser) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
	t.Run("asked again", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		first := User("u1", "ann@example.com")
		if _, err := users.Add(ctx, first); err != nil {
			t.Fatal(err)
		}
		again := first
		again.PasswordHash = "another salt"
		if got, err := users.Add(ctx, again); err != nil || got != first {
			t.Errorf("got %+v, %v, want the first", got, err)
		}
	})
	t.Run("taken", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		if _, err := users.Add(ctx, User("u1", "ann@example.com")); err != nil {
			t.Fatal(err)
		}
		if _, err := users.Add(ctx, User("u2", "ann@example.com")); !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("got %v", err)
		}
		if _, err := users.User(ctx, "u2"); !errors.Is(err, auth.ErrNoUser) {
			t.Errorf("the refused user is there: %v", err)
		}
	})
	t.Run("rehash", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		u := User("u1", "ann@example.com")
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
				t.Errorf("from %q: got %+v, %v", tt.from, got, err)
			}
		}
	})
	t.Run("racing for an address", func(t *testing.T) {
		users, ctx := open(t), t.Context()
		const workers, rounds = 16, 5
		for round := range rounds {
			email := fmt.Sprintf("ann%d@example.com", round)
			var winners sync.Map
			var won atomic.Int64
			together(workers, func(i int) {
				u := User(fmt.Sprintf("r%d-u%d", round, i), email)
				switch _, err := users.Add(ctx, u); {
				case err == nil:
					won.Add(1)
					winners.Store(u.ID, true)
				case !errors.Is(err, auth.ErrEmailTaken):
					t.Errorf("add: %v", err)
				}
			})
			owner, err := users.IDByEmail(ctx, email)
			if _, ok := winners.Load(owner); err != nil || won.Load() != 1 || !ok {
				t.Errorf("%d winners, the address is %q's: %v", won.Load(), owner, err)
			}
			for i := range workers {
				id := fmt.Sprintf("r%d-u%d", round, i)
				if _, err := users.User(ctx, id); (err == nil) != (id == owner) {
					t.Errorf("user %s of owner %s: %v", id, owner, err)
				}
			}
		}
	})
}

// EntryOf returns an entry with every field set.
func EntryOf(ids ...string) auth.Entry {
	e := auth.Entry{PasswordVersion: 4}
	for i, id := range ids {
		at := Epoch.Add(time.Duration(i) * time.Minute)
		e.Families = append(e.Families, auth.Family{
			ID: id, CreatedAt: at, Previous: id + "-0",
			Device:  authapi.Device{Address: "192.0.2.7", UserAgent: `curl/8 "quoted"`},
			Current: auth.Session{ID: id + "-1", StartedAt: at.Add(time.Second), ExpiresAt: at.Add(time.Hour)},
		})
	}
	return e
}

// TestSessions checks an auth.Sessions. open returns one in which the users that
// user names, a new one at each call, have no entries.
func TestSessions(t *testing.T, open func(t *testing.T) (sessions auth.Sessions, user func() string)) {
	sessions, user := open(t)
	t.Run("none", func(t *testing.T) {
		e, version, err := sessions.Entry(t.Context(), user())
		if err != nil || version != "" || e.PasswordVersion != 0 || e.Families != nil {
			t.Errorf("got %+v, %q, %v", e, version, err)
		}
	})
	t.Run("comes back as it was", func(t *testing.T) {
		ctx, id := t.Context(), user()
		filled(t, EntryOf("f1"))
		for _, want := range []auth.Entry{EntryOf("f1", "f2"), EntryOf("f2"), EntryOf()} {
			_, version, err := sessions.Entry(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := sessions.Save(ctx, id, want, version); err != nil {
				t.Fatal(err)
			}
			got, _, err := sessions.Entry(ctx, id)
			if err != nil || got.PasswordVersion != want.PasswordVersion || !slices.Equal(got.Families, want.Families) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
	})
	t.Run("stale", func(t *testing.T) {
		ctx, id := t.Context(), user()
		if err := sessions.Save(ctx, id, EntryOf("f1"), ""); err != nil {
			t.Fatal(err)
		}
		_, old, err := sessions.Entry(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := sessions.Save(ctx, id, EntryOf("f2"), old); err != nil {
			t.Fatal(err)
		}
		for name, version := range map[string]string{"none": "", "an older one": old} {
			if err := sessions.Save(ctx, id, EntryOf("f3"), version); !errors.Is(err, auth.ErrStale) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		got, _, err := sessions.Entry(ctx, id)
		if err != nil || len(got.Families) != 1 || got.Families[0].ID != "f2" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("racing workers lose nothing", func(t *testing.T) {
		ctx, id := t.Context(), user()
		const workers = 8
		together(workers, func(i int) {
			for {
				e, version, err := sessions.Entry(ctx, id)
				if err != nil {
					t.Error(err)
					return
				}
				e.Families = append(e.Families, EntryOf(fmt.Sprint("f", i)).Families...)
				if err = sessions.Save(ctx, id, e, version); err == nil {
					return
				} else if !errors.Is(err, auth.ErrStale) {
					t.Error(err)
					return
				}
			}
		})
		got, _, err := sessions.Entry(ctx, id)
		if err != nil || len(got.Families) != workers {
			t.Errorf("%d of %d are there: %v", len(got.Families), workers, err)
		}
	})
}

// Counting is an auth.Attempts under test, and its clock.
type Counting struct {
	auth.Attempts

	Pass func(time.Duration)
}

// TestAttempts checks an auth.Attempts. open returns an empty one.
func TestAttempts(t *testing.T, open func(t *testing.T) Counting) {
	begin := func(t *testing.T, c Counting, account, address string) auth.Verdict {
		t.Helper()
		v, err := c.Begin(t.Context(), account, address)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	free := auth.Verdict{}
	t.Run("five failures lock, then one each, doubling", func(t *testing.T) {
		c := open(t)
		for i := range 5 {
			if got := begin(t, c, "ann", "a"); got != free {
				t.Fatalf("attempt %d: %+v", i+1, got)
			}
		}
		for _, lock := range []time.Duration{1, 2, 4, 8, 15, 15} {
			lock *= time.Minute
			for range 3 { // asking again makes it no longer
				if got := begin(t, c, "ann", "a"); !got.Locked || !about(got.RetryAfter, lock) {
					t.Fatalf("got %+v, want locked for %s", got, lock)
				}
			}
			if got := begin(t, c, "ann", "b"); got.Locked {
				t.Errorf("another address is locked: %+v", got)
			}
			if got := begin(t, c, "ben", "a"); got.Locked {
				t.Errorf("another account is locked: %+v", got)
			}
			must(t, c.Clear(t.Context(), "ann", "b"))
			must(t, c.Clear(t.Context(), "ben", "a"))
			c.Pass(lock)
			if got := begin(t, c, "ann", "a"); got.Locked {
				t.Fatalf("after %s: %+v", lock, got)
			}
		}
	})
	t.Run("a right one clears", func(t *testing.T) {
		c := open(t)
		for range 30 {
			for range 5 {
				if got := begin(t, c, "ann", "a"); got.Locked {
					t.Fatalf("got %+v", got)
				}
			}
			for range 5 {
				must(t, c.Clear(t.Context(), "ann", "a"))
			}
		}
		if got := begin(t, c, "ann", "a"); got != free {
			t.Errorf("right ones slow the account down: %+v", got)
		}
	})
	t.Run("one that was not looked at is taken back", func(t *testing.T) {
		c := open(t)
		for range 30 {
			if got := begin(t, c, "ann", "a"); got != free {
				t.Fatalf("got %+v", got)
			}
			must(t, c.Withdraw(t.Context(), "ann", "a"))
		}
		must(t, c.Withdraw(t.Context(), "ann", "a"))
		for i := range 5 {
			if got := begin(t, c, "ann", "a"); got != free {
				t.Errorf("attempt %d: got %+v", i+1, got)
			}
		}
		must(t, c.Withdraw(t.Context(), "ann", "a")) // the one that locked
		if got := begin(t, c, "ann", "a"); got != free {
			t.Errorf("after the fifth was taken back: %+v", got)
		}
		if got := begin(t, c, "ann", "a"); !got.Locked {
			t.Errorf("the fifth failure does not lock: %+v", got)
		}
	})
	t.Run("forgotten after a quiet hour", func(t *testing.T) {
		c := open(t)
		for range 4 {
			begin(t, c, "ann", "a")
		}
		c.Pass(auth.FailuresFor)
		for i := range 5 {
			if got := begin(t, c, "ann", "a"); got != free {
				t.Errorf("attempt %d: got %+v", i+1, got)
			}
		}
	})
	t.Run("many addresses slow an account down and lock nobody out", func(t *testing.T) {
		c := open(t)
		for i := range 60 {
			want := auth.Verdict{Delay: auth.DelayAfter(i)}
			if got := begin(t, c, "ann", fmt.Sprint("address", i)); got != want {
				t.Fatalf("attempt %d: got %+v, want %+v", i+1, got, want)
			}
		}
		if got := begin(t, c, "ben", "address1"); got != free {
			t.Errorf("another account: %+v", got)
		}
		c.Pass(auth.AccountFailuresFor)
		if got := begin(t, c, "ann", "new"); got != free {
			t.Errorf("after a while: %+v", got)
		}
	})
	t.Run("200 parallel guesses are 200 attempts", func(t *testing.T) {
		c := open(t)
		var through atomic.Int64
		together(200, func(int) {
			v, err := c.Begin(t.Context(), "ann", "a")
			if err != nil {
				t.Error(err)
			}
			if !v.Locked {
				through.Add(1)
			}
		})
		if got := through.Load(); got != 5 {
			t.Errorf("%d got through, want 5", got)
		}
	})
}

// filled fails the test when a field is not set, so that one that a store
// forgets is found.
func filled(t *testing.T, v any) {
	t.Helper()
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Fatalf("%s is not set by the suite", path)
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

// about reports whether a server whose clock goes on shows about that time.
func about(got, want time.Duration) bool { return got <= want && got > want-10*time.Second }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs fn so many times at once.
func together(n int, fn func(i int)) {
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
