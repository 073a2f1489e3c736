// Package season reads a season of events from a JSON file.
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

// Event is an event in the file. It has the fields of the API, but its dates are relative
// to the day of loading, so that the file never becomes outdated.
type Event struct {
	Name                    string         `json:"name"`
	Description             string         `json:"description"`
	Category                string         `json:"category"`
	Venue                   string         `json:"venue"`
	StartsInDays            int            `json:"startsInDays"`
	StartsAt                string         `json:"startsAt"` // such as 19:30, in Timezone
	Lasts                   string         `json:"lasts"`    // such as 2h30m
	Timezone                string         `json:"timezone"`
	Capacity                int64          `json:"capacity"`
	Price                   contract.Money `json:"price"`
	MaxPerUser              *int64         `json:"maxPerUser"`
	SalesStartInDays        *int           `json:"salesStartInDays"`    // days after the day of loading, at 10:00
	SalesEndHoursBefore     *int           `json:"salesEndHoursBefore"` // hours before the start
	CancellationCutoffHours *int64         `json:"cancellationCutoffHours"`
}

// Key returns the key that identifies the event within a season. It does not contain
// dates, because they depend on the day of loading.
func (e Event) Key() string { return Key(e.Name, e.Venue) }

// Key returns the key of an event with that name and venue.
func Key(name, venue string) string { return name + "\n" + venue }

// Read returns the events in a file. Unknown fields are an error.
func Read(path string) ([]Event, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the path is the caller's choice
	if err != nil {
		return nil, fmt.Errorf("read the season: %w", err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read the season: %s: %w", path, err)
	}
	events := make([]Event, len(raw))
	for i, text := range raw {
		if err := strictjson.Decode(text, &events[i]); err != nil {
			return nil, fmt.Errorf("read the season: %s: event %d: %w", path, i+1, err)
		}
	}
	return events, nil
}

// Definition returns the event as the API defines it. now determines its dates.
func (e Event) Definition(now time.Time) (eventapi.Definition, error) {
	zone, err := time.LoadLocation(e.Timezone)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	clock, err := time.Parse("15:04", e.StartsAt)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: startsAt: %w", e.Name, err)
	}
	duration, err := time.ParseDuration(e.Lasts)
	if err != nil {
		return eventapi.Definition{}, fmt.Errorf("%s: lasts: %w", e.Name, err)
	}
	at := func(days, hour, minute int) time.Time {
		today := now.In(zone)
		return time.Date(today.Year(), today.Month(), today.Day()+days, hour, minute, 0, 0, zone)
	}
	start := at(e.StartsInDays, clock.Hour(), clock.Minute())
	def := eventapi.Definition{
		Name: e.Name, Description: &e.Description, Category: &e.Category, Venue: &e.Venue,
		StartsAt: contract.At(start), EndsAt: contract.At(start.Add(duration)), Timezone: &e.Timezone,
		Capacity: e.Capacity, Price: &e.Price, MaxPerUser: e.MaxPerUser, CancellationCutoffHours: e.CancellationCutoffHours,
	}
	if e.SalesStartInDays != nil {
		t := contract.At(at(*e.SalesStartInDays, 10, 0))
		def.SalesStartAt = &t
	}
	if e.SalesEndHoursBefore != nil {
		t := contract.At(start.Add(-time.Duration(*e.SalesEndHoursBefore) * time.Hour))
		def.SalesEndAt = &t
	}
	return def, nil
}
