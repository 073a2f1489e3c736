package redisconn_test

import (
	"errors"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/config"
	"boxoffice/shared/redisconn"
)

func open(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client, err := redisconn.Open(redisconn.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestErrorRepliesCauseNoPause(t *testing.T) {
	for _, scheme := range []string{"", "redis://"} {
		client := open(t, scheme+miniredis.RunT(t).Addr())
		if err := client.Get(t.Context(), "absent").Err(); !errors.Is(err, redis.Nil) {
			t.Fatalf("absent key: got %v, want redis.Nil", err)
		}
		if err := client.Do(t.Context(), "NONSENSE").Err(); err == nil {
			t.Fatal("unknown command: got no error, want one")
		}
		if err := client.Set(t.Context(), "a", "b", 0).Err(); err != nil {
			t.Errorf("after error replies: got %v, want no error", err)
		}
	}
}

func TestCommandsFailImmediatelyAfterAFailure(t *testing.T) {
	// The listener accepts connections and never replies.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	client := open(t, silent.Addr().String())
	if err := client.Get(t.Context(), "a").Err(); err == nil || errors.Is(err, redisconn.ErrPaused) {
		t.Fatalf("first command: got %v, want an error other than ErrPaused", err)
	}
	if err := client.Get(t.Context(), "a").Err(); !errors.Is(err, redisconn.ErrPaused) {
		t.Errorf("second command: got %v, want ErrPaused", err)
	}
}

func TestPasswordReplacesThatOfTheURL(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	for _, tt := range []struct {
		addr, password string
		isAccepted     bool
	}{
		{server.Addr(), "right", true},
		{server.Addr(), "wrong", false},
		{server.Addr(), "", false},
		{"redis://:right@" + server.Addr(), "", true},
		{"redis://:wrong@" + server.Addr(), "right", true},
	} {
		client, err := redisconn.Open(redisconn.Config{Addr: tt.addr, Password: config.NewSecret(tt.password)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if err := client.Set(t.Context(), "a", "b", 0).Err(); (err == nil) != tt.isAccepted {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
}
