package redisconn_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/shared/redisconn"
	"boxoffice/shared/telemetry"
)

// Keys contain user ids and client addresses, values contain sessions, and the text of an
// error may quote both.
func TestSpansNameCommandsWithoutTheirContent(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("boxoffice", "the password")
	exporter := tracetest.NewInMemoryExporter()
	tracing := telemetry.New("test", "test-1", 1, sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = tracing.Flush(context.Background()) })
	client, err := redisconn.Open(redisconn.Config{Addr: "redis://boxoffice:the%20password@" + server.Addr(), Tracing: tracing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })

	ctx := t.Context()
	if err := client.Set(ctx, "user:ada@example.org", "the value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_ = client.Get(ctx, "absent").Err()
	if err := client.Do(ctx, "EVAL", "return redis.error_reply('ERR of ' .. KEYS[1])", 1, "user:ada@example.org").Err(); err == nil || !strings.Contains(err.Error(), "ada@example.org") {
		t.Fatalf("got %v, want an error that quotes the key", err)
	}
	pipe := client.Pipeline()
	pipe.Get(ctx, "user:ada@example.org")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range exporter.GetSpans() {
		names = append(names, s.Name+" "+s.Status.Code.String())
		text := fmt.Sprintf("%s %v %v %v %s", s.Name, s.Attributes, s.Events, s.Links, s.Status.Description)
		for _, secret := range []string{"ada@example.org", "the value", "the password", "ERR of", "boxoffice:"} {
			if strings.Contains(text, secret) {
				t.Errorf("span %s contains %q: %s", s.Name, secret, text)
			}
		}
	}
	for _, want := range []string{"redis.dial Unset", "set Unset", "get Unset", "eval Error", "redis.pipeline Unset"} {
		if !slices.Contains(names, want) {
			t.Errorf("got spans %q, want %q among them", names, want)
		}
	}
}
