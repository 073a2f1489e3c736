package e2e_test

import (
	"net/url"
	"testing"
	"time"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// A guest's list of events is cached. A new event must be in it soon, and the trace of the
// change must show that its fact has reached the gateway, which then dropped the list.
func TestChangeReachesTheReadCacheOfTheGateway(t *testing.T) {
	admin, _ := running.Admin(t)
	guest := running.Guest()
	category := stack.Unique("cabaret")
	listed := func() int {
		var list events
		guest.Do(t, "GET", "/api/events?category="+url.QueryEscape(category), nil).Want(t, 200, &list)
		return len(list.Data)
	}
	if n := listed(); n != 0 {
		t.Fatalf("got %d events, want none", n)
	}
	res := admin.Do(t, "POST", "/api/events", stack.EventBody("Chicago", category))
	res.Want(t, 201, nil)
	kit.Eventually(t, 2*time.Second, "the event is listed", func() bool { return listed() == 1 })
	_, err := running.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		_, err := root.Find(
			"gateway call event/method/event.create",
			"daprd gateway CallLocal/event/event.create",
			"daprd event CallLocal/event/event.create",
			"event event.create",
			"event dapr.proto.runtime.v1.Dapr/PublishEvent", "daprd event /dapr.proto.runtime.v1.Dapr/PublishEvent",
			"daprd gateway pubsub/event-events",
			"gateway facts /facts/events",
		)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
