package authtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/test/kit"
)

// UsersSuite is the conformance suite of auth.Users.
type UsersSuite struct {
	// Open returns an empty store. It is called once for each subtest.
	Open func(t *testing.T) auth.Users
}

// Conform runs the suite.
func (s UsersSuite) Conform(t *testing.T) {
	t.Run("a stored user is returned unchanged", s.storesEveryField)
	t.Run("unknown users are not found", s.unknownUsers)
	t.Run("query operators in ids are treated as text", s.queryOperators)
	t.Run("adding the same user again returns the first", s.addAgain)
	t.Run("an address belongs to one user", s.emailTaken)
	t.Run("rehash replaces only the expected hash", s.rehash)
	t.Run("concurrent registrations of an address have one winner", s.concurrentAdds)
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
		kit.Concurrently(workers, func(i int) {
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
