package mongousers_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/mongousers"
	"boxoffice/shared/apperr"
	"boxoffice/test/servers"
)

// open returns a store and its database, whose commands are watched.
func open(t *testing.T, uri string, n *atomic.Int64) (*mongousers.Store, *mongo.Database) {
	t.Helper()
	name := fmt.Sprintf("test_auth_%s_%d", rand.Text()[:8], n.Add(1))
	store, err := mongousers.Open(mongousers.Config{URI: uri, Database: name, Monitor: watch(t)})
	if err != nil {
		t.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(store.Close(ctx), client.Database(name).Drop(ctx), client.Disconnect(ctx)); err != nil {
			t.Error(err)
		}
	})
	return store, client.Database(name)
}

// watch fails the test when the store uses a command that it does not say.
func watch(t *testing.T) *event.CommandMonitor {
	known := map[string]bool{"insert": true, "find": true, "update": true, "ping": true, "endSessions": true, "killCursors": true}
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if !known[e.CommandName] {
			t.Errorf("the store sent %s", e.CommandName)
		}
	}}
}

func TestStore(t *testing.T) {
	m := servers.StartMongo(t)
	var n atomic.Int64
	authtest.TestUsers(t, func(t *testing.T) auth.Users {
		store, _ := open(t, m.URI, &n)
		return store
	})
	t.Run("an address whose user was never stored", func(t *testing.T) { orphanedAddress(t, m.URI, &n) })
	t.Run("racing for an orphaned address", func(t *testing.T) { raceForAnOrphan(t, m.URI, &n) })
	t.Run("its maker comes back", func(t *testing.T) { makerComesBack(t, m.URI, &n) })
	t.Run("its taker died too", func(t *testing.T) { takerDied(t, m.URI, &n) })
}

const email = "ann@example.com"

func orphan(t *testing.T, db *mongo.Database, userID string) {
	t.Helper()
	if _, err := db.Collection("addresses").InsertOne(t.Context(), bson.D{{Key: "_id", Value: email}, {Key: "userId", Value: userID}}); err != nil {
		t.Fatal(err)
	}
}

func owner(t *testing.T, store *mongousers.Store) string {
	t.Helper()
	id, err := store.IDByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func orphanedAddress(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	orphan(t, db, "dead")
	if _, err := store.Add(t.Context(), authtest.User("u1", email)); err != nil {
		t.Fatal(err)
	}
	if got := owner(t, store); got != "u1" {
		t.Errorf("the address is %s's", got)
	}
	// The maker of the address, had he only stalled, would now insert his user.
	if _, err := store.Add(t.Context(), authtest.User("dead", "other@example.com")); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("the dead one: %v", err)
	}
	if _, err := store.User(t.Context(), "dead"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("the dead one is there: %v", err)
	}
}

func raceForAnOrphan(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	orphan(t, db, "dead")
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			switch _, err := store.Add(t.Context(), authtest.User(fmt.Sprint("u", i), email)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auth.ErrEmailTaken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
	if _, err := store.User(t.Context(), owner(t, store)); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// A maker who asks again before anybody else gets what he began.
func makerComesBack(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	orphan(t, db, "u1")
	if _, err := store.Add(t.Context(), authtest.User("u1", email)); err != nil {
		t.Fatal(err)
	}
	if got := owner(t, store); got != "u1" {
		t.Errorf("the address is %s's", got)
	}
}

func takerDied(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	orphan(t, db, "dead")
	if _, err := db.Collection("users").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "dead"}, {Key: "void", Value: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Add(t.Context(), authtest.User("dead", email)); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("the maker: %v", err)
	}
	if _, err := store.Add(t.Context(), authtest.User("u1", email)); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestGone(t *testing.T) {
	store, err := mongousers.Open(mongousers.Config{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", Database: "auth"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Cleanup(func() { _ = store.Close(t.Context()) })
	go cancel() // rather than wait for the driver to give up
	if _, err := store.User(ctx, "u1"); err == nil || errors.Is(err, auth.ErrNoUser) {
		t.Errorf("user: %v", err)
	}
	if code := apperr.From(err).Code; err != nil && code != apperr.Internal && code != apperr.Unavailable {
		t.Errorf("code %s", code)
	}
}
