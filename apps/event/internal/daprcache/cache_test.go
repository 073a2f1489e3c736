package daprcache_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"boxoffice/apps/event/internal/daprcache"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/servers"
)

func TestCacheInRedisThroughASidecar(t *testing.T) {
	r := servers.StartRedis(t)
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{AppID: "event", Components: []string{
		servers.Component("eventcache", "state.redis", "redisHost", r.Addr(), "redisPassword", ""),
	}})
	conn, err := grpc.NewClient(sidecar.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	dapr := client.NewClientWithConnection(conn)
	cache, ctx := daprcache.New(dapr, "eventcache"), t.Context()

	want := eventapi.Versioned{Event: eventapi.Event{ID: "e1", Name: "Gala", Version: 3}, SeatsVersion: 7}
	wantNone := func(what string) {
		t.Helper()
		if _, err := cache.GetEvent(ctx, "e1"); !errors.Is(err, event.ErrNoEvent) {
			t.Errorf("%s: got %v, want %v", what, err, event.ErrNoEvent)
		}
	}
	wantNone("empty cache")
	put := func(ttl time.Duration) {
		t.Helper()
		if err := cache.PutEvent(ctx, want, ttl); err != nil {
			t.Fatal(err)
		}
		if got, err := cache.GetEvent(ctx, "e1"); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	put(time.Minute)
	if err := cache.DropEvent(ctx, "e1"); err != nil {
		t.Errorf("drop: %v", err)
	}
	wantNone("dropped")
	put(time.Second)
	r.FastForward(2 * time.Second)
	wantNone("expired")
	if err := daprcache.New(dapr, "absent").PutEvent(ctx, want, time.Minute); err == nil {
		t.Error("put into an absent store: got no error")
	}
}
