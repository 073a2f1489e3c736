package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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

func TestAvailabilityStreamShowsABooking(t *testing.T) {
	eventID := running.CreateEvent(t, 10)
	ada := running.As(register(t).Tokens.AccessToken)
	ctx, cancel := context.WithTimeout(t.Context(), stack.WaitTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, running.Gateway+"/api/events/"+eventID+"/availability/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("got %d, %q, want 200, text/event-stream", res.StatusCode, got)
	}
	lines := bufio.NewScanner(res.Body)
	if err := awaitLine(lines, `"available":10,"held":0`); err != nil {
		t.Fatal(err)
	}
	ada.Book(t, eventID, 3, "").Want(t, 201, nil)
	if err := awaitLine(lines, `"available":7,"held":3`); err != nil {
		t.Fatal(err)
	}
}

// awaitLine reads lines until one contains text.
func awaitLine(lines *bufio.Scanner, text string) error {
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return nil
		}
	}
	return fmt.Errorf("got the end of the stream, %v, want a line with %s", lines.Err(), text)
}
