package season_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/tools/demo/season"
)

type clock struct{ at time.Time }

func (c clock) Now() time.Time { return c.at }

type ids struct{}

func (ids) NewID() string { return "id" }

func read(t *testing.T) []season.Event {
	t.Helper()
	events, err := season.Read("../../../examples/events.json")
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// The event app must accept the season on any day of loading, including days on which
// daylight saving time changes.
func TestEventAppAcceptsTheSeasonOnAnyDay(t *testing.T) {
	for _, day := range []string{"2026-01-31T23:59:00Z", "2028-02-29T00:00:00Z", "2026-03-28T23:30:00Z", "2026-10-24T12:00:00Z"} {
		now, err := time.Parse(time.RFC3339, day)
		if err != nil {
			t.Fatal(err)
		}
		service := eventtest.NewService(eventtest.Env{Store: eventtest.NewStore(), Clock: clock{now}, IDs: ids{}, HoldSettleAfter: time.Minute})
		for i, e := range read(t) {
			def, err := e.Definition(now)
			if err != nil {
				t.Fatal(err)
			}
			created, err := service.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: fmt.Sprint("event-", i), OrganizerID: "boss", Event: def})
			if err != nil {
				t.Errorf("%s: %s: %v", day, e.Name, err)
				continue
			}
			if start, closes := created.Event.StartsAt, created.Event.SalesEndAt; closes != nil && !closes.Before(start.Time) {
				t.Errorf("%s: got sales that end at %s, want an end before the start at %s", e.Name, closes, start)
			}
			if opens := created.Event.SalesStartAt; opens != nil && !opens.Before(created.Event.StartsAt.Time) {
				t.Errorf("%s: got sales that start at %s, want a start before the event", e.Name, opens)
			}
		}
	}
}

func TestSeasonHasTwoHundredDistinctEvents(t *testing.T) {
	events := read(t)
	seen, categories, venues := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, e := range events {
		key := e.Key()
		if seen[key] {
			t.Errorf("got %s at %s twice, want it once", e.Name, e.Venue)
		}
		if e.Description == "" || e.Venue == "" || e.StartsInDays < 1 {
			t.Errorf("%s: got %+v, want a description, a venue and a future day", e.Name, e)
		}
		seen[key], venues[e.Venue] = true, true
		categories[e.Category]++
	}
	if len(events) != 200 || len(categories) < 10 || len(venues) < 20 {
		t.Errorf("got %d events in %v at %d venues, want 200 in 10 or more categories at 20 or more venues", len(events), categories, len(venues))
	}
}

func TestDatesAreRelativeToTheDayOfLoading(t *testing.T) {
	now := time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC) // the night before daylight saving time starts in Vienna
	opens, closes := -1, 2
	e := season.Event{
		Name: "a", StartsInDays: 1, StartsAt: "19:30", Lasts: "1h30m", Timezone: "Europe/Vienna",
		SalesStartInDays: &opens, SalesEndHoursBefore: &closes,
	}
	def, err := e.Definition(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, got, want string }{
		{"starts", def.StartsAt.Format(time.RFC3339), "2026-03-29T17:30:00Z"},
		{"ends", def.EndsAt.Format(time.RFC3339), "2026-03-29T19:00:00Z"},
		{"opens", def.SalesStartAt.Format(time.RFC3339), "2026-03-27T09:00:00Z"},
		{"closes", def.SalesEndAt.Format(time.RFC3339), "2026-03-29T15:30:00Z"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
}

func TestErrorsNameTheEventAndTheField(t *testing.T) {
	for text, want := range map[string]string{
		`[{"name": "a", "colour": "red"}]`: "event 1: ",
		`{"name": "a"}`:                    "cannot unmarshal",
	} {
		path := filepath.Join(t.TempDir(), "events.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := season.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
	valid := season.Event{Name: "Tosca", StartsAt: "19:30", Lasts: "2h", Timezone: "UTC"}
	for want, breakField := range map[string]func(*season.Event){
		"startsAt": func(e *season.Event) { e.StartsAt = "late" },
		"lasts":    func(e *season.Event) { e.Lasts = "long" },
		"Mars":     func(e *season.Event) { e.Timezone = "Mars/Olympus" },
	} {
		e := valid
		breakField(&e)
		if _, err := e.Definition(time.Now()); err == nil || !strings.Contains(err.Error(), "Tosca: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with Tosca and %q", err, want)
		}
	}
}
