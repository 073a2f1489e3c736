package mongousers_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/mongousers"
	"boxoffice/shared/apperr"
	"boxoffice/test/kit"
	"boxoffice/test/kit/commands"
	"boxoffice/test/servers"
)

// open returns a store and its database. The test fails if the store sends a command
// that it should not need.
func open(t *testing.T, uri string, n *atomic.Int64) (*mongousers.Store, *mongo.Database) {
	t.Helper()
	name := fmt.Sprintf("test_auth_%s_%d", rand.Text()[:8], n.Add(1))
	store, err := mongousers.Open(mongousers.Config{URI: uri, Database: name, Monitor: commands.Check(t, "insert", "find", "update")})
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

func TestStoreConforms(t *testing.T) {
	m := servers.StartMongo(t)
	var n atomic.Int64
	authtest.UsersSuite{Open: func(t *testing.T) auth.Users {
		store, _ := open(t, m.URI, &n)
		return store
	}}.Conform(t)
	t.Run("an address without a user is taken over", func(t *testing.T) { testTakeOver(t, m.URI, &n) })
	t.Run("concurrent take-overs of an address have one winner", func(t *testing.T) { testConcurrentTakeOvers(t, m.URI, &n) })
	t.Run("the first creator completes its own account", func(t *testing.T) { testCreatorReturns(t, m.URI, &n) })
	t.Run("a crashed take-over is completed by the next creator", func(t *testing.T) { testTakeOverCrashed(t, m.URI, &n) })
}

const email = "ann@example.com"

// reserve stores an address for a user that does not exist.
func reserve(t *testing.T, db *mongo.Database, userID string) {
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

func testTakeOver(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	reserve(t, db, "dead")
	if _, err := store.Add(t.Context(), authtest.NewUser("u1", email)); err != nil {
		t.Fatal(err)
	}
	if got := owner(t, store); got != "u1" {
		t.Errorf("got owner %s, want u1", got)
	}
	// A first creator that was only slow would insert its user now.
	if _, err := store.Add(t.Context(), authtest.NewUser("dead", "other@example.com")); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("the first creator: got %v, want ErrEmailTaken", err)
	}
	if _, err := store.User(t.Context(), "dead"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("user of the first creator: got %v, want ErrNoUser", err)
	}
}

func testConcurrentTakeOvers(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	reserve(t, db, "dead")
	var won atomic.Int64
	kit.Concurrently(12, func(i int) {
		switch _, err := store.Add(t.Context(), authtest.NewUser(fmt.Sprint("u", i), email)); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, auth.ErrEmailTaken):
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("got %d winners, want 1", won.Load())
	}
	if _, err := store.User(t.Context(), owner(t, store)); err != nil {
		t.Errorf("the owner of the address: %v", err)
	}
}

// testCreatorReturns checks that a creator keeps its address if it repeats its request
// before any other creator asks for the address.
func testCreatorReturns(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	reserve(t, db, "u1")
	if _, err := store.Add(t.Context(), authtest.NewUser("u1", email)); err != nil {
		t.Fatal(err)
	}
	if got := owner(t, store); got != "u1" {
		t.Errorf("got owner %s, want u1", got)
	}
}

func testTakeOverCrashed(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	reserve(t, db, "dead")
	if _, err := db.Collection("users").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "dead"}, {Key: "void", Value: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Add(t.Context(), authtest.NewUser("dead", email)); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("the first creator: got %v, want ErrEmailTaken", err)
	}
	if _, err := store.Add(t.Context(), authtest.NewUser("u1", email)); err != nil {
		t.Errorf("the next creator: %v", err)
	}
}

func TestUnreachableServerIsNotAMissingUser(t *testing.T) {
	store, err := mongousers.Open(mongousers.Config{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", Database: "auth"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Cleanup(func() { _ = store.Close(t.Context()) })
	go cancel() // faster than waiting for the driver's timeout
	_, err = store.User(ctx, "u1")
	if err == nil || errors.Is(err, auth.ErrNoUser) {
		t.Errorf("got %v, want an error other than ErrNoUser", err)
	}
	if code := apperr.From(err).Code; err != nil && code != apperr.Internal && code != apperr.Unavailable {
		t.Errorf("got code %s, want internal or unavailable", code)
	}
}
