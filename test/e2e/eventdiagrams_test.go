package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// wantOperation checks that a response's trace begins in the gateway's route and leads
// through both sidecars to an operation of the event app. below are chains of spans under
// the operation.
func wantOperation(t *testing.T, res stack.Response, route, operation string, below ...[]string) {
	t.Helper()
	root, err := running.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		op, err := root.Find(
			"gateway call event/method/"+operation,
			"daprd gateway CallLocal/event/"+operation,
			"daprd event CallLocal/event/"+operation,
			"event "+operation,
		)
		if err != nil {
			return err
		}
		for _, path := range below {
			if _, err := op.Find(path...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", route, err)
		return
	}
	if got := root.Service + " " + root.Name; got != "gateway "+route {
		t.Errorf("got the root %s, want gateway %s", got, route)
	}
}

// TestEventRoutes follows the sequence diagram "Event Routes": each route in its order,
// with its checks, its answer and its trace.
func TestEventRoutes(t *testing.T) {
	admin, account := running.Admin(t)
	guest := running.Guest()
	user := running.As(register(t).Tokens.AccessToken)
	body := stack.EventBody(stack.Unique("Lohengrin"), stack.Unique("opera"))

	var created event
	guest.Do(t, "POST", "/api/events", body).Refused(t, 401, "auth.token_missing")
	user.Do(t, "POST", "/api/events", body).Refused(t, 403, "auth.admin_required")
	res := admin.Do(t, "POST", "/api/events", body)
	res.Want(t, 201, &created)
	if created.OrganizerID != account.User.ID {
		t.Errorf("created: got organizer %s, want the admin %s", created.OrganizerID, account.User.ID)
	}
	wantOperation(t, res, "POST /api/events", "event.create", []string{"event insert events"})

	path := "/api/events/" + created.ID
	var list events
	res = guest.Do(t, "GET", fmt.Sprintf("/api/events?category=%s", body["category"]), nil)
	res.Want(t, 200, &list)
	if len(list.Data) != 1 || list.Data[0].ID != created.ID {
		t.Errorf("listed: got %+v, want the event", list.Data)
	}
	wantOperation(t, res, "GET /api/events", "event.list", []string{"event find events"})

	var read event
	guest.Do(t, "GET", "/api/events/a.b", nil).Refused(t, 400, "invalid")
	res = guest.Do(t, "GET", path, nil)
	res.Want(t, 200, &read)
	wantOperation(t, res, "GET /api/events/:eventId", "event.get", []string{"event find events"})

	var updated event
	change := map[string]any{"venue": "Old Hall"}
	guest.Do(t, "PUT", path, change).Refused(t, 401, "auth.token_missing")
	user.Do(t, "PUT", path, change).Refused(t, 403, "auth.admin_required")
	admin.Do(t, "PUT", path, map[string]any{"capacity": 0}).Refused(t, 400, "invalid")
	res = admin.Do(t, "PUT", path, change, "If-Match", res.Header.Get("ETag"))
	res.Want(t, 200, &updated)
	if updated.Version != 2 || res.Header.Get("ETag") != `"2-2"` {
		t.Errorf("updated: got %+v with ETag %s, want version 2 and \"2-2\"", updated, res.Header.Get("ETag"))
	}
	wantOperation(t, res, "PUT /api/events/:eventId", "event.update", []string{"event update events"})

	res = guest.Do(t, "GET", "/api/events/search/"+created.Name, nil)
	res.Want(t, 200, &list)
	if len(list.Data) != 1 || list.Data[0].ID != created.ID {
		t.Errorf("found: got %+v, want the event", list.Data)
	}
	wantOperation(t, res, "GET /api/events/search/:searchTerm", "event.search", []string{"event find events"})

	guest.Do(t, "GET", "/api/events/organizer/"+account.User.ID, nil).Refused(t, 401, "auth.token_missing")
	res = user.Do(t, "GET", "/api/events/organizer/"+account.User.ID+"?category="+fmt.Sprint(body["category"]), nil)
	res.Want(t, 200, &list)
	if len(list.Data) != 1 || list.Data[0].ID != created.ID {
		t.Errorf("the organizer's: got %+v, want the event", list.Data)
	}
	wantOperation(t, res, "GET /api/events/organizer/:organizerId", "event.organizer", []string{"event find events"})

	var message struct{ Message string }
	guest.Do(t, "DELETE", path, nil).Refused(t, 401, "auth.token_missing")
	user.Do(t, "DELETE", path, nil).Refused(t, 403, "auth.admin_required")
	res = admin.Do(t, "DELETE", path, nil)
	res.Want(t, 200, &message)
	if message.Message == "" {
		t.Error("deleted: got no message")
	}
	wantOperation(t, res, "DELETE /api/events/:eventId", "event.delete", []string{"event update events"})
	admin.Do(t, "GET", path, nil).Refused(t, 404, "event.not_found")
}

// TestEventService follows the sequence diagram "Event Service": an event is created under
// a lock, checked for duplicates, saved and cached. After it has ended without sales, the
// clean-up of any replica deletes it and its cached copy.
func TestEventService(t *testing.T) {
	admin := running.NewAdmin(t)
	body := stack.EventBody(stack.Unique("Fidelio"), "opera")
	start := time.Now().Add(5 * time.Second).UTC()
	body["startsAt"], body["endsAt"] = start, start.Add(time.Millisecond)
	var created event
	res := admin.Do(t, "POST", "/api/events", body)
	res.Want(t, 201, &created)
	duplicate := admin.Do(t, "POST", "/api/events", body)
	duplicate.Refused(t, 409, "event.duplicate")
	if got := duplicate.Header.Get("Location"); got != "/api/events/"+created.ID {
		t.Errorf("duplicate: got Location %q, want the event that exists", got)
	}
	cache := redis.NewClient(running.Redis)
	defer func() { _ = cache.Close() }()
	copies := func() int64 {
		t.Helper()
		n, err := cache.Exists(t.Context(), "event||event:"+created.ID).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if copies() != 1 {
		t.Error("the cache has no copy of the new event")
	}
	kit.Eventually(t, stack.WaitTimeout, "the clean-up deletes the event", func() error {
		tickAll(t, "event", "cleanup")
		if res := admin.Do(t, "GET", "/api/events/"+created.ID, nil); res.StatusCode != http.StatusNotFound {
			return fmt.Errorf("got %d", res.StatusCode)
		}
		return nil
	})
	if copies() != 0 {
		t.Error("the cache still has a copy of the deleted event")
	}
	wantOperation(t, res, "POST /api/events", "event.create",
		[]string{"event dapr.proto.runtime.v1.Dapr/TryLockAlpha1", "daprd event /dapr.proto.runtime.v1.Dapr/TryLockAlpha1"},
		[]string{"event insert events"},
		[]string{"event dapr.proto.runtime.v1.Dapr/SaveState", "daprd event /dapr.proto.runtime.v1.Dapr/SaveState"},
		[]string{"event dapr.proto.runtime.v1.Dapr/UnlockAlpha1", "daprd event /dapr.proto.runtime.v1.Dapr/UnlockAlpha1"},
	)
}

// tickAll calls all instances of an app at once, as their sidecars do at a tick of a cron
// component.
func tickAll(t *testing.T, app, component string) {
	t.Helper()
	var instances []stack.Instance
	for _, i := range running.Instances {
		if i.App == app {
			instances = append(instances, i)
		}
	}
	kit.Concurrently(len(instances), func(n int) {
		url := fmt.Sprintf("http://127.0.0.1:%d/%s", instances[n].Port, component)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("dapr-api-token", instances[n].AppToken)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("tick of %s: got %d, want 200", instances[n].Name, res.StatusCode)
		}
	})
}

// visibleWithin limits how long a change may take to be visible in every replica.
const visibleWithin = 2 * time.Second

// Every gateway and every event app must show a change within two seconds, whichever
// gateway it came through, and even if a gateway was frozen while the fact was delivered.
func TestEveryReplicaShowsAChange(t *testing.T) {
	admin, _ := running.Admin(t)
	gateways := running.Gateways()
	if len(gateways) < 2 {
		t.Fatalf("got %d gateways, want at least 2", len(gateways))
	}
	var created event
	admin.Do(t, "POST", "/api/events", stack.EventBody(stack.Unique("Rienzi"), "opera")).Want(t, 201, &created)
	path := "/api/events/" + created.ID
	for _, frozen := range []bool{false, true} {
		for _, gateway := range gateways { // fill the caches
			stack.Client{Gateway: gateway}.Do(t, "GET", path, nil).Want(t, 200, nil)
		}
		if frozen {
			running.Freeze(t, "gateway-2")
		}
		venue := fmt.Sprint("Hall ", frozen)
		admin.Do(t, "PUT", path, map[string]any{"venue": venue}).Want(t, 200, nil)
		changed := time.Now()
		if frozen {
			running.Thaw(t, "gateway-2")
			changed = time.Now()
		}
		for _, gateway := range gateways {
			eventuallyShows(t, changed, gateway, venue, func() (stack.Response, error) {
				return stack.Client{Gateway: gateway}.Try(t.Context(), "GET", path, nil)
			})
		}
		for _, i := range running.Instances {
			if i.App == "event" {
				eventuallyShows(t, changed, i.Name, venue, func() (stack.Response, error) { return getFromApp(t, i, created.ID), nil })
			}
		}
	}
}

// eventuallyShows asks a replica until it answers with the venue. It fails if an answer that
// was requested more than visibleWithin after the change still has the old one.
func eventuallyShows(t *testing.T, changed time.Time, replica, venue string, get func() (stack.Response, error)) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, replica+" shows the change", func() error {
		asked := time.Since(changed)
		res, err := get()
		if err != nil {
			return err
		}
		if res.StatusCode == http.StatusOK && strings.Contains(res.Text, `"venue":"`+venue+`"`) {
			return nil
		}
		if asked > visibleWithin {
			t.Errorf("%s, asked %s after the change: got %d %s, want the venue %s", replica, asked, res.StatusCode, res.Text, venue)
			return nil
		}
		return errors.New("it answers with the old venue")
	})
}

// getFromApp calls event.get of one instance of the event app, without a sidecar.
func getFromApp(t *testing.T, i stack.Instance, eventID string) stack.Response {
	t.Helper()
	body := fmt.Sprintf(`{"messageId":"m","timestamp":"2030-01-01T00:00:00.000Z","data":{"eventId":%q}}`, eventID)
	url := fmt.Sprintf("http://127.0.0.1:%d/event.get", i.Port)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("dapr-api-token", i.AppToken)
	return stack.Send(t, r)
}
