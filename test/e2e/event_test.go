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

func TestEventJourney(t *testing.T) {
	boss, who := running.Admin(t)
	guest := running.Guest()
	category := stack.Unique("opera")

	var made event
	body := stack.Evening("Tosca", category)
	res := boss.Do(t, "POST", "/api/events", body)
	res.Want(t, 201, &made)
	if made.ID == "" || made.Status != "published" || made.OrganizerID != who.User.ID || made.Available != 100 || made.Version != 1 {
		t.Errorf("made: got %+v", made)
	}
	path := "/api/events/" + made.ID
	if got := res.Header.Get("Location"); got != path {
		t.Errorf("Location: got %q, want %q", got, path)
	}

	var list events
	guest.Do(t, "GET", "/api/events?category="+url.QueryEscape(category), nil).Want(t, 200, &list)
	if len(list.Data) != 1 || list.Data[0].ID != made.ID || list.Page.Limit != 20 || list.Page.NextCursor != nil {
		t.Errorf("listed: got %+v", list)
	}

	read := guest.Do(t, "GET", path, nil)
	var got event
	read.Want(t, 200, &got)
	if got.ID != made.ID || got.Name != "Tosca" || *got.Category != category {
		t.Errorf("read: got %+v", got)
	}
	tag := read.Header.Get("ETag")
	if tag != `"1-1"` || tag != res.Header.Get("ETag") {
		t.Errorf("ETag: got %q when read, %q when made", tag, res.Header.Get("ETag"))
	}
	if got := read.Header.Get("Cache-Control"); got != "public, max-age=1" || read.Header.Get("Vary") != "Authorization" {
		t.Errorf("Cache-Control %q, Vary %q", got, read.Header.Get("Vary"))
	}
	if res := guest.Do(t, "GET", path, nil, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || res.Text != "" || res.Header.Get("ETag") != tag {
		t.Errorf("If-None-Match: got %d %q, ETag %q", res.StatusCode, res.Text, res.Header.Get("ETag"))
	}

	var seats struct {
		EventID                                  string
		Capacity, Available, Held, Sold, Version int64
	}
	guest.Do(t, "GET", path+"/availability", nil).Want(t, 200, &seats)
	if seats.EventID != made.ID || seats.Capacity != 100 || seats.Available != 100 || seats.Held != 0 || seats.Sold != 0 || seats.Version != 1 {
		t.Errorf("availability: got %+v", seats)
	}
}

func TestEventsAreListedPageByPage(t *testing.T) {
	boss, _ := running.Admin(t)
	guest := running.Guest()
	category := stack.Unique("jazz")
	for _, name := range []string{"c", "a", "b"} {
		boss.Do(t, "POST", "/api/events", stack.Evening(name, category)).Want(t, 201, nil)
	}
	draft := stack.Evening("d", category)
	draft["status"] = "draft"
	var hidden event
	boss.Do(t, "POST", "/api/events", draft).Want(t, 201, &hidden)
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
		t.Errorf("anyone: got %v, want %v", got, want)
	}
	if got, want := names(boss), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("an admin: got %v, want %v", got, want)
	}
}

func TestEventRefusals(t *testing.T) {
	boss, _ := running.Admin(t)
	guest := running.Guest()
	ada := running.As(register(t).Tokens.AccessToken)
	body := stack.Evening(stack.Unique("Faust"), "opera")
	boss.Do(t, "POST", "/api/events", body).Want(t, 201, nil)
	boss.Do(t, "POST", "/api/events", body).Refused(t, 409, "event.duplicate")
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
		{"a body", "/api/events", map[string]any{
			"name": "", "startsAt": start, "endsAt": start, "capacity": 0, "timezone": "Mars/Olympus",
			"price": map[string]any{"amount": -1, "currency": "eur"}, "maxPerUser": 0,
		}, []string{"capacity", "endsAt", "maxPerUser", "name", "price.amount", "price.currency", "timezone"}},
		{"a list", "/api/events?limit=0&from=today&to=2026", nil, []string{"from", "limit", "to"}},
		{"a list's order and status", "/api/events?sort=price&status=sold", nil, []string{"sort", "status"}},
		{"a forged cursor", "/api/events?cursor=abc", nil, []string{"cursor"}},
		{"an id", "/api/events/a.b", nil, []string{"eventId"}},
	} {
		method, c := "GET", guest
		if tt.body != nil {
			method, c = "POST", boss
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
			t.Errorf("%s: got %v, want %v", tt.name, fields, tt.want)
		}
	}
}

// Of many who make the same event at once, one does.
func TestOneOfManyTwinsIsMade(t *testing.T) {
	boss, _ := running.Admin(t)
	body := stack.Evening(stack.Unique("Aida"), "opera")
	statuses := make(chan int)
	const twins = 20
	for range twins {
		go func() { statuses <- boss.Do(t, "POST", "/api/events", body).StatusCode }()
	}
	got := map[int]int{}
	for range twins {
		got[<-statuses]++
	}
	if got[201] != 1 || got[409] != twins-1 {
		t.Errorf("got %v, want one 201 and else 409", got)
	}
}

// The diagram of a new event, read out of its trace.
func TestCreateEventIsOneTrace(t *testing.T) {
	boss, _ := running.Admin(t)
	res := boss.Do(t, "POST", "/api/events", stack.Evening(stack.Unique("Carmen"), "opera"))
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
		t.Errorf("the root is %s, want %s", got, want)
	}
}
