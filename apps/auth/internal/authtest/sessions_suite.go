package authtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/test/kit"
)

// SessionsSuite is the conformance suite of auth.Sessions.
type SessionsSuite struct {
	Sessions auth.Sessions
	// NewUserID returns the id of a user without a record. Every call returns another id.
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
	kit.Concurrently(workers, func(i int) {
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
