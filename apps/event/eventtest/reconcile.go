package eventtest

import (
	"context"
	"slices"
	"strings"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
)

// CountedHolds implements event.Holds.
func (s *Store) CountedHolds(ctx context.Context, eventID, after string, limit int) ([]event.Hold, error) {
	var found []event.Hold
	err := s.do(ctx, "holds.counted", func() error {
		for _, h := range s.holds {
			if h.EventID == eventID && h.State != event.Released && h.ID > after {
				found = append(found, h)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b event.Hold) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(len(found), limit)], err
}

// EventIDs implements event.Catalogue.
func (s *Store) EventIDs(ctx context.Context, after string, limit int) ([]event.Identified, error) {
	var all []event.Identified
	err := s.do(ctx, "events.ids", func() error {
		for id, d := range s.events {
			if identity := d.Identity(); identity > after { // a deleted event has the empty identity
				all = append(all, event.Identified{ID: id, Identity: identity})
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b event.Identified) int { return strings.Compare(a.Identity, b.Identity) })
	return all[:min(len(all), limit)], err
}

// Tamper changes documents behind the back of all ports, as a bug would. The function may
// change the seats of an event, and all holds.
func (s *Store) Tamper(eventID string, change func(seats *event.Seats, holds map[string]event.Hold)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.events[eventID]
	change(&d.Seats, s.holds)
	s.events[eventID] = d
}

// Unreported is an event.Drifts that drops reports.
type Unreported struct{}

// CountComparison implements event.Drifts.
func (Unreported) CountComparison(context.Context, event.Compared) {}

// ReportDrift implements event.Drifts.
func (Unreported) ReportDrift(context.Context, eventapi.Reconciliation) {}
