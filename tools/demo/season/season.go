// Package season reads a season of events from a file that people write.
package season

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/strictjson"
)

// Event is an event of the season as it stands in the file: in the API's words, with
// days counted from the one on which it is loaded, so that it never ages.
type Event struct {
	Name                    string         `json:"name"`
	Description             string         `json:"description"`
	Category                string         `json:"category"`
	Venue                   string         `json:"venue"`
	StartsInDays            int            `json:"startsInDays"`
	StartsAt                string         `json:"startsAt"` // 19:30, where the event is
	Lasts                   string         `json:"lasts"`    // 2h30m
	Timezone                string         `json:"timezone"`
	Capacity                int64          `json:"capacity"`
	Price                   contract.Money `json:"price"`
	MaxPerUser              *int64         `json:"maxPerUser"`
	SalesStartInDays        *int           `json:"salesStartInDays"`    // from the day of loading, at 10:00
	SalesEndHoursBefore     *int           `json:"salesEndHoursBefore"` // before the start
	CancellationCutoffHours *int64         `json:"cancellationCutoffHours"`
}

// Key is what no two events of a season share. Dates are not in it: they move with
// the day of loading.
func (e Event) Key() string { return Key(e.Name, e.Venue) }

// Key is that of an event of that name and venue.
func Key(name, venue string) string { return name + "\n" + venue }

// Read returns the events of a file. Fields that it does not know are an error.
func Read(path string) ([]Event, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the caller's own
	if err != nil {
		return nil, fmt.Errorf("read the season: %w", err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read the season: %s: %w", path, err)
	}
	events := make([]Event, len(raw))
	for i, one := range raw {
		if err := strictjson.Decode(one, &events[i]); err != nil {
			return nil, fmt.Errorf("read the season: %s: event %d: %w", path, i+1, err)
		}
	}
	return events, nil
}

// Definition is the event as the API takes it, when it is loaded at that time.
func (e Event) Definition(now time.Time) (eventapi.Definition, error) {
	zone, err := time.LoadLocation(e.Timezone)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	clock, err := time.Parse("15:04", e.StartsAt)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: startsAt: %w", e.Name, err)
	}
	lasts, err := time.ParseDuration(e.Lasts)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: lasts: %w", e.Name, err)
	}
	at := func(days, hour, minute int) time.Time {
		today := now.In(zone)
		return time.Date(today.Year(), today.Month(), today.Day()+days, hour, minute, 0, 0, zone)
	}
	starts := at(e.StartsInDays, clock.Hour(), clock.Minute())
	def := eventapi.Definition{
		Name: e.Name, Description: &e.Description, Category: &e.Category, Venue: &e.Venue,
		StartsAt: contract.At(starts), EndsAt: contract.At(starts.Add(lasts)), Timezone: &e.Timezone,
		Capacity: e.Capacity, Price: &e.Price, MaxPerUser: e.MaxPerUser, CancellationCutoffHours: e.CancellationCutoffHours,
	}
	if e.SalesStartInDays != nil {
		t := contract.At(at(*e.SalesStartInDays, 10, 0))
		def.SalesStartAt = &t
	}
	if e.SalesEndHoursBefore != nil {
		t := contract.At(starts.Add(-time.Duration(*e.SalesEndHoursBefore) * time.Hour))
		def.SalesEndAt = &t
	}
	return def, nil
}
