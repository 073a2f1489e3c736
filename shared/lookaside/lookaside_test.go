package lookaside_test

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/lookaside"
)

func open(t *testing.T) (*miniredis.Miniredis, *redis.Client, *lookaside.Copies) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return server, client, lookaside.NewCopies(client)
}

func look(t *testing.T, client *redis.Client, key, nonce string) string {
	t.Helper()
	got, err := redis.NewScript(lookaside.Look+`return look(KEYS[1], ARGV[1])`).Run(t.Context(), client, []string{key}, nonce).Text()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return got
}

func fill(t *testing.T, copies *lookaside.Copies, nonce, key, value string) {
	t.Helper()
	err := copies.Fill(t.Context(), nonce, lookaside.Filling{Key: key, Value: []byte(value), TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFillReplacesItsOwnLeaseOnly(t *testing.T) {
	key := lookaside.UserKey("u1")
	t.Run("found nothing", func(t *testing.T) {
		_, client, copies := open(t)
		if got := look(t, client, key, "n1"); got != "" {
			t.Fatalf("got %q, want nothing", got)
		}
		fill(t, copies, "n1", key, `{"a":1}`)
		if got := look(t, client, key, "n2"); got != `{"a":1}` {
			t.Errorf("got %q, want the value", got)
		}
	})
	t.Run("changed meanwhile", func(t *testing.T) {
		_, client, copies := open(t)
		look(t, client, key, "n1")
		if err := copies.DropUsers(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
		fill(t, copies, "n1", key, `{"old":1}`)
		if got := look(t, client, key, "n2"); !lookaside.IsTombstone(got) {
			t.Errorf("got %q, want the tombstone", got)
		}
	})
	t.Run("another lease", func(t *testing.T) {
		_, client, copies := open(t)
		look(t, client, key, "n1")
		if got := look(t, client, key, "n2"); got != "" {
			t.Fatalf("got %q, want nothing: a lease is no value", got)
		}
		fill(t, copies, "n2", key, `{"a":2}`)
		if got := look(t, client, key, "n3"); got != "" {
			t.Errorf("got %q, want nothing: the lease was n1's", got)
		}
	})
	t.Run("flushed meanwhile", func(t *testing.T) {
		server, client, copies := open(t)
		look(t, client, key, "n1")
		server.FlushAll()
		fill(t, copies, "n1", key, `{"old":1}`)
		if got := look(t, client, key, "n2"); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
	t.Run("tombstone outlived", func(t *testing.T) {
		server, client, copies := open(t)
		look(t, client, key, "n1")
		if err := copies.DropUsers(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
		server.FastForward(time.Hour)
		fill(t, copies, "n1", key, `{"old":1}`)
		if got := look(t, client, key, "n2"); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
}

func TestLeaseOnlyWhereNothingIs(t *testing.T) {
	_, _, copies := open(t)
	key := lookaside.SessionKey("s1")
	for i, want := range []bool{true, false} {
		if got, err := copies.Lease(t.Context(), key, "n"); err != nil || got != want {
			t.Errorf("lease %d: got %v, %v, want %v", i, got, err, want)
		}
	}
	if err := copies.EndSessions(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if got, err := copies.Lease(t.Context(), key, "n"); err != nil || got {
		t.Errorf("lease over a tombstone: got %v, %v", got, err)
	}
}
