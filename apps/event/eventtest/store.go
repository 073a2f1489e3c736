// Package eventtest provides a store in memory for tests, and the conformance suite that
// every store must pass.
package eventtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/apps/event/internal/event"
)

// Gate is called before each operation of a store, with the operation's name. If it returns
// a before error, the operation fails without having happened. If it returns an after
// error, the operation happens but fails, as if the reply had been lost. A gate may block.
type Gate func(op string) (before, after error)

// Store stores events, holds, limits and capacity logs in memory. Each operation does only what a
// document database can do with conditional operations on single documents.
type Store struct {
	gate Gate

	writes *int64
	mu     *sync.Mutex
	events map[string]document
	holds  map[string]event.Hold
	limits map[event.LimitKey]event.Limit
	logs   map[string]map[event.EntryPosition]event.Entry // by event
}

type document struct {
	event.Event
	outbox []Record
}

// Record is a fact in an outbox.
type Record struct {
	event.Fact
	Sent bool
}

var (
	_ event.Events    = (*Store)(nil)
	_ event.Catalogue = (*Store)(nil)
	_ event.Holds     = (*Store)(nil)
	_ event.Limits    = (*Store)(nil)

	_ event.CapacityLog = (*Store)(nil)
)

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		gate: func(string) (before, after error) { return nil, nil },
		mu:   new(sync.Mutex), writes: new(int64), events: map[string]document{}, holds: map[string]event.Hold{},
		limits: map[event.LimitKey]event.Limit{}, logs: map[string]map[event.EntryPosition]event.Entry{},
	}
}

// WithGate returns a view of the store that calls gate before each operation.
func (s *Store) WithGate(gate Gate) *Store {
	gated := *s
	gated.gate = gate
	return &gated
}

// do runs fn as one atomic operation.
func (s *Store) do(ctx context.Context, op string, fn func() error) error {
	before, after := s.gate(op)
	if before != nil {
		return before
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := fn(); err != nil {
		return err
	}
	return after
}

// InsertEvent implements event.Events.
func (s *Store) InsertEvent(ctx context.Context, e event.Event, fact event.Fact) error {
	return s.do(ctx, "events.insert", func() error {
		if _, taken := s.events[e.ID]; taken {
			return event.ErrExists
		}
		if s.nameTaken(e) {
			return event.ErrNameTaken
		}
		s.events[e.ID] = document{Event: e, outbox: []Record{{Fact: fact}}}
		*s.writes++
		return nil
	})
}

func (s *Store) nameTaken(e event.Event) bool {
	if e.Identity() == "" {
		return false
	}
	for id, other := range s.events {
		if id != e.ID && other.Identity() == e.Identity() {
			return true
		}
	}
	return false
}

// GetEvent implements event.Events.
func (s *Store) GetEvent(ctx context.Context, id string) (event.Event, error) {
	var e event.Event
	err := s.do(ctx, "events.read", func() error {
		d, ok := s.events[id]
		if !ok {
			return event.ErrNoEvent
		}
		e = d.Event
		return nil
	})
	return clone(e), err
}

// clone returns the event with copies of its marks and change ids.
func clone(e event.Event) event.Event {
	e.Seats.Marks = maps.Clone(e.Seats.Marks)
	e.ChangeIDs = slices.Clone(e.ChangeIDs)
	return e
}

// WriteSeats implements event.Events.
func (s *Store) WriteSeats(ctx context.Context, w event.SeatsWrite) error {
	return s.do(ctx, "events.seats", func() error {
		d, ok := s.events[w.EventID]
		if !ok || d.Seats.Version != w.Version {
			return event.ErrStale
		}
		d.Seats = w.Apply(d.Seats)
		s.events[w.EventID] = d
		*s.writes++
		return nil
	})
}

// WriteDefinition implements event.Events.
func (s *Store) WriteDefinition(ctx context.Context, e event.Event, version int64, facts ...event.Fact) error {
	return s.do(ctx, "events.definition", func() error {
		d, ok := s.events[e.ID]
		if !ok || d.Version != version || d.Seats.Version != e.Seats.Version {
			return event.ErrStale
		}
		if s.nameTaken(e) {
			return event.ErrNameTaken
		}
		if e.Status != event.Cancelled && e.Status != event.Deleted && len(d.outbox)+len(facts) > event.MaxFacts {
			d.outbox = dropSent(d.outbox, len(d.outbox)+len(facts)-event.MaxFacts/2)
			if len(d.outbox)+len(facts) > event.MaxFacts {
				return event.ErrOutboxFull
			}
		}
		e.Seats.Marks, e.Opening = d.Seats.Marks, d.Opening
		e.Seats.Version++
		d.Event = e
		for _, f := range facts {
			d.outbox = append(slices.Clip(d.outbox), Record{Fact: f})
		}
		s.events[e.ID] = d
		*s.writes++
		return nil
	})
}

// dropSent returns the records without the first n published ones.
func dropSent(records []Record, n int) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		isDropped := r.Sent && n > 0
		if isDropped {
			n--
		}
		return isDropped
	})
}

// DropFacts implements event.Events.
func (s *Store) DropFacts(ctx context.Context, id, kind string) error {
	return s.do(ctx, "events.dropfacts", func() error {
		d, ok := s.events[id]
		if !ok {
			return event.ErrNoEvent
		}
		d.outbox = slices.DeleteFunc(slices.Clone(d.outbox), func(r Record) bool { return r.Type == kind })
		s.events[id] = d
		*s.writes++
		return nil
	})
}

// ListEvents implements event.Catalogue.
func (s *Store) ListEvents(ctx context.Context, q event.Query) ([]event.Event, error) {
	var found []event.Event
	err := s.do(ctx, "events.list", func() error {
		for _, d := range s.events {
			if matches(q, d.Event) && (q.After == nil || compare(q.Sort, q.Sort.At(d.Event), *q.After) > 0) {
				found = append(found, clone(d.Event))
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b event.Event) int { return compare(q.Sort, q.Sort.At(a), q.Sort.At(b)) })
	return found[:min(len(found), q.Limit)], err
}

func matches(q event.Query, e event.Event) bool {
	return e.Status != event.Deleted && slices.Contains(q.Statuses, e.Status) &&
		(q.OrganizerID == "" || e.OrganizerID == q.OrganizerID) &&
		(q.Category == "" || e.Category == q.Category) &&
		(q.From == nil || !e.StartsAt.Before(*q.From)) &&
		(q.To == nil || e.StartsAt.Before(*q.To))
}

func compare(sort event.Sort, a, b event.Position) int {
	n := cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	if sort == event.ByStartDesc {
		return -n
	}
	return n
}

// FindIdentity implements event.Catalogue.
func (s *Store) FindIdentity(ctx context.Context, identity string) (string, error) {
	ids, err := s.ids(ctx, "events.identity", 1, func(d document) bool { return d.Identity() == identity })
	if err == nil && len(ids) == 0 {
		err = event.ErrNoEvent
	}
	return strings.Join(ids, ""), err
}

// MarkedEvents implements event.Catalogue.
func (s *Store) MarkedEvents(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "events.marked", limit, func(d document) bool {
		for _, mark := range d.Seats.Marks {
			if mark.MovedAt.Before(before) {
				return true
			}
		}
		return false
	})
}

// UnfinishedCancellations implements event.Catalogue.
func (s *Store) UnfinishedCancellations(ctx context.Context, limit int) ([]string, error) {
	return s.ids(ctx, "events.cancelled", limit, func(d document) bool {
		unsent := slices.ContainsFunc(d.outbox, func(r Record) bool { return !r.Sent })
		return d.Status == event.Cancelled && d.Seats.Committed() > 0 && !unsent
	})
}

// EndedUnsold implements event.Catalogue.
func (s *Store) EndedUnsold(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "events.ended", limit, func(d document) bool {
		return d.Status != event.Deleted && d.EndsAt.Before(before) && !d.Seats.EverSold
	})
}

func (s *Store) ids(ctx context.Context, op string, limit int, match func(document) bool) ([]string, error) {
	var found []event.Event
	err := s.do(ctx, op, func() error {
		for _, d := range s.events {
			if match(d) {
				found = append(found, d.Event)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b event.Event) int {
		return cmp.Or(cmp.Compare(a.Seats.Version, b.Seats.Version), strings.Compare(a.ID, b.ID))
	})
	var ids []string
	for _, e := range found[:min(len(found), limit)] {
		ids = append(ids, e.ID)
	}
	return ids, err
}

// Facts returns the facts in all outboxes, ordered by event and then by time of writing.
func (s *Store) Facts() []event.Fact { return s.facts(func(Record) bool { return true }) }

// Unsent returns the facts that have not been published.
func (s *Store) Unsent() []event.Fact { return s.facts(func(r Record) bool { return !r.Sent }) }

func (s *Store) facts(match func(Record) bool) []event.Fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	var facts []event.Fact
	for _, id := range slices.Sorted(maps.Keys(s.events)) {
		for _, r := range s.events[id].outbox {
			if match(r) {
				facts = append(facts, r.Fact)
			}
		}
	}
	return facts
}

// MarkSent records that a fact has been published.
func (s *Store) MarkSent(eventID, factID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.events[eventID]
	d.outbox = slices.Clone(d.outbox)
	for i := range d.outbox {
		if d.outbox[i].ID == factID {
			d.outbox[i].Sent = true
		}
	}
	s.events[eventID] = d
}

// Writes returns the number of document writes that were made through the ports.
func (s *Store) Writes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.writes
}

// Contents is a snapshot of a store.
type Contents struct {
	Events map[string]event.Event
	Holds  map[string]event.Hold
	Limits map[event.LimitKey]event.Limit
	Logs   map[string][]event.Entry // by event, in ascending order
}

// Contents returns a snapshot of the store. The caller may modify its maps, but not
// the maps inside their values.
func (s *Store) Contents() Contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := make(map[string]event.Event, len(s.events))
	for id, d := range s.events {
		events[id] = d.Event
	}
	logs := make(map[string][]event.Entry, len(s.logs))
	for id := range s.logs {
		logs[id] = s.entries(id)
	}
	return Contents{Events: events, Holds: maps.Clone(s.holds), Limits: maps.Clone(s.limits), Logs: logs}
}
