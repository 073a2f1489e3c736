package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"boxoffice/test/stack"
)

type event struct {
	ID, Name, Status, OrganizerID string
	Category                      *string
	Capacity, Available, Version  int64
}

type events struct {
	Data []event
	Page struct {
		Limit      int
		NextCursor *string
	}
}

func TestPublishedEventIsListedAndRead(t *testing.T) {
	admin, account := running.Admin(t)
	guest := running.Guest()
	category := stack.Unique("opera")

	var created event
	body := stack.EventBody("Tosca", category)
	res := admin.Do(t, "POST", "/api/events", body)
	res.Want(t, 201, &created)
	if created.ID == "" || created.Status != "published" || created.OrganizerID != account.User.ID || created.Available != 100 || created.Version != 1 {
		t.Errorf("created: got %+v, want a published event of the admin with 100 available seats, in version 1", created)
	}
	path := "/api/events/" + created.ID
	if got := res.Header.Get("Location"); got != path {
		t.Errorf("Location: got %q, want %q", got, path)
	}

	var list events
	guest.Do(t, "GET", "/api/events?category="+url.QueryEscape(category), nil).Want(t, 200, &list)
	if len(list.Data) != 1 || list.Data[0].ID != created.ID || list.Page.Limit != 20 || list.Page.NextCursor != nil {
		t.Errorf("listed: got %+v, want one page of 20 with event %s only", list, created.ID)
	}

	read := guest.Do(t, "GET", path, nil)
	var got event
	read.Want(t, 200, &got)
	if got.ID != created.ID || got.Name != "Tosca" || *got.Category != category {
		t.Errorf("read: got %+v, want event %s", got, created.ID)
	}
	tag := read.Header.Get("ETag")
	if tag != `"1-1"` || tag != res.Header.Get("ETag") {
		t.Errorf("ETag: got %q when read, %q when created, want \"1-1\" in both", tag, res.Header.Get("ETag"))
	}
	if got := read.Header.Get("Cache-Control"); got != "public, max-age=1" || read.Header.Get("Vary") != "Authorization" {
		t.Errorf("got Cache-Control %q and Vary %q, want \"public, max-age=1\" and \"Authorization\"", got, read.Header.Get("Vary"))
	}
	if res := guest.Do(t, "GET", path, nil, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || res.Text != "" || res.Header.Get("ETag") != tag {
		t.Errorf("If-None-Match: got %d %q with ETag %q, want 304 with the same ETag and no body", res.StatusCode, res.Text, res.Header.Get("ETag"))
	}

	var seats struct {
		EventID                                  string
		Capacity, Available, Held, Sold, Version int64
	}
	guest.Do(t, "GET", path+"/availability", nil).Want(t, 200, &seats)
	if seats.EventID != created.ID || seats.Capacity != 100 || seats.Available != 100 || seats.Held != 0 || seats.Sold != 0 || seats.Version != 1 {
		t.Errorf("availability: got %+v, want all 100 seats available, in version 1", seats)
	}
}

func TestEventListHasPagesAndHidesDrafts(t *testing.T) {
	admin, _ := running.Admin(t)
	guest := running.Guest()
	category := stack.Unique("jazz")
	for _, name := range []string{"c", "a", "b"} {
		admin.Do(t, "POST", "/api/events", stack.EventBody(name, category)).Want(t, 201, nil)
	}
	draft := stack.EventBody("d", category)
	draft["status"] = "draft"
	var hidden event
	admin.Do(t, "POST", "/api/events", draft).Want(t, 201, &hidden)
	guest.Do(t, "GET", "/api/events/"+hidden.ID, nil).Refused(t, 404, "event.not_found")

	names := func(c stack.Client) (names []string) {
		path := "/api/events?sort=name&limit=2&category=" + category
		for cursor := ""; ; {
			var page events
			c.Do(t, "GET", path+"&cursor="+cursor, nil).Want(t, 200, &page)
			for _, e := range page.Data {
				names = append(names, e.Name)
			}
			if page.Page.NextCursor == nil {
				return names
			}
			cursor = *page.Page.NextCursor
		}
	}
	if got, want := names(guest), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("list for a guest: got %v, want %v", got, want)
	}
	if got, want := names(admin), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("list for an admin: got %v, want %v", got, want)
	}
}

func TestEventRefusesInvalidRequests(t *testing.T) {
	admin, _ := running.Admin(t)
	guest := running.Guest()
	ada := running.As(register(t).Tokens.AccessToken)
	body := stack.EventBody(stack.Unique("Faust"), "opera")
	admin.Do(t, "POST", "/api/events", body).Want(t, 201, nil)
	admin.Do(t, "POST", "/api/events", body).Refused(t, 409, "event.duplicate")
	ada.Do(t, "POST", "/api/events", body).Refused(t, 403, "auth.admin_required")
	guest.Do(t, "POST", "/api/events", body).Refused(t, 401, "auth.token_missing")
	running.As("nonsense").Do(t, "GET", "/api/events", nil).Refused(t, 401, "auth.token_invalid")
	guest.Do(t, "GET", "/api/events/unknown", nil).Refused(t, 404, "event.not_found")
	guest.Do(t, "GET", "/api/events/unknown/availability", nil).Refused(t, 404, "event.not_found")

	start := time.Now().Add(time.Hour).UTC()
	for _, tt := range []struct {
		name, path string
		body       any
		want       []string
	}{
		{"body of an event", "/api/events", map[string]any{
			"name": "", "startsAt": start, "endsAt": start, "capacity": 0, "timezone": "Mars/Olympus",
			"price": map[string]any{"amount": -1, "currency": "eur"}, "maxPerUser": 0,
		}, []string{"capacity", "endsAt", "maxPerUser", "name", "price.amount", "price.currency", "timezone"}},
		{"query of a list", "/api/events?limit=0&from=today&to=2026", nil, []string{"from", "limit", "to"}},
		{"order and status of a list", "/api/events?sort=price&status=sold", nil, []string{"sort", "status"}},
		{"forged cursor", "/api/events?cursor=abc", nil, []string{"cursor"}},
		{"event id", "/api/events/a.b", nil, []string{"eventId"}},
	} {
		method, c := "GET", guest
		if tt.body != nil {
			method, c = "POST", admin
		}
		res := c.Do(t, method, tt.path, tt.body)
		res.Refused(t, 400, "invalid")
		var p struct{ Errors []struct{ Field string } }
		if err := json.Unmarshal([]byte(res.Text), &p); err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, e := range p.Errors {
			fields = append(fields, e.Field)
		}
		slices.Sort(fields)
		if !slices.Equal(fields, tt.want) {
			t.Errorf("%s: got problems with fields %v, want %v", tt.name, fields, tt.want)
		}
	}
}

// Of many concurrent requests to create the same event, exactly one succeeds.
func TestConcurrentDuplicatesCreateOneEvent(t *testing.T) {
	admin, _ := running.Admin(t)
	body := stack.EventBody(stack.Unique("Aida"), "opera")
	const duplicates = 20
	got := countStatuses(t, duplicates, func() (stack.Response, error) { return admin.Try(t.Context(), "POST", "/api/events", body) })
	if got[201] != 1 || got[409] != duplicates-1 {
		t.Errorf("got responses by status %v, want one with 201 and the others with 409", got)
	}
}

// The trace of a request to create an event must show the spans of the sequence diagram.
func TestCreateEventIsOneTrace(t *testing.T) {
	admin := running.NewAdmin(t)
	res := admin.Do(t, "POST", "/api/events", stack.EventBody(stack.Unique("Carmen"), "opera"))
	res.Want(t, 201, nil)
	root, err := running.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		operation, err := root.Find(
			"gateway call event/method/event.create",
			"daprd gateway CallLocal/event/event.create",
			"daprd event CallLocal/event/event.create",
			"event event.create",
		)
		if err != nil {
			return err
		}
		for _, path := range [][]string{
			{"event dapr.proto.runtime.v1.Dapr/TryLockAlpha1", "daprd event /dapr.proto.runtime.v1.Dapr/TryLockAlpha1"},
			{"event insert events"},
			{"event dapr.proto.runtime.v1.Dapr/PublishEvent", "daprd event /dapr.proto.runtime.v1.Dapr/PublishEvent"},
			{"event dapr.proto.runtime.v1.Dapr/UnlockAlpha1", "daprd event /dapr.proto.runtime.v1.Dapr/UnlockAlpha1"},
		} {
			if _, err := operation.Find(path...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(root.Service, " ", root.Name), "gateway POST /api/events"; got != want {
		t.Errorf("root: got %s, want %s", got, want)
	}
}
