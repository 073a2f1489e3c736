// Package bookingtest supports tests of bookings. Store keeps bookings in memory,
// and Conform is the conformance suite that every store must pass.
package bookingtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/apps/booking/internal/booking"
)

// Gate is called before each operation of a store, with the operation's name. If
// before is not nil, the operation fails with it and has no effect. If after is not
// nil, the operation takes effect and then fails with after, as if its reply had been
// lost. A gate may block.
type Gate func(op string) (before, after error)

// Store keeps bookings in memory. Like a document database, it offers only queries
// and conditional writes of one document.
type Store struct {
	gate Gate

	writes        *int64
	mu            *sync.Mutex
	bookings      map[string]document
	cancellations map[string]booking.Cancellation // by event id
}

type document struct {
	booking.Booking
	outbox []outboxEntry
}

type outboxEntry struct {
	booking.Fact
	isSent bool
}

var (
	_ booking.Store  = (*Store)(nil)
	_ booking.Finder = (*Store)(nil)
)

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		gate: func(string) (before, after error) { return nil, nil },
		mu:   new(sync.Mutex), writes: new(int64), bookings: map[string]document{},
		cancellations: map[string]booking.Cancellation{},
	}
}

// WithGate returns a view of the same store that calls gate before each operation.
func (s *Store) WithGate(gate Gate) *Store {
	gated := *s
	gated.gate = gate
	return &gated
}

// do calls the gate and then runs fn as one atomic operation.
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

// InsertBooking implements booking.Store.
func (s *Store) InsertBooking(ctx context.Context, b booking.Booking, facts ...booking.Fact) error {
	return s.do(ctx, "bookings.insert", func() error {
		if _, taken := s.bookings[b.ID]; taken {
			return booking.ErrExists
		}
		s.bookings[b.ID] = document{Booking: b, outbox: newEntries(facts)}
		*s.writes++
		return nil
	})
}

// GetBooking implements booking.Store.
func (s *Store) GetBooking(ctx context.Context, id string) (booking.Booking, error) {
	var b booking.Booking
	err := s.do(ctx, "bookings.read", func() error {
		d, ok := s.bookings[id]
		if !ok {
			return booking.ErrNoBooking
		}
		b = d.Booking
		return nil
	})
	return b, err
}

// ReplaceBooking implements booking.Store.
func (s *Store) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, holdNumber int64, facts ...booking.Fact) error {
	return s.do(ctx, "bookings.replace", func() error {
		d, ok := s.bookings[b.ID]
		if !ok || d.State != state || d.HoldNumber != holdNumber {
			return booking.ErrStale
		}
		s.bookings[b.ID] = document{Booking: b, outbox: append(slices.Clip(d.outbox), newEntries(facts)...)}
		*s.writes++
		return nil
	})
}

// ReplaceBookings implements booking.Store. Each change is an operation of its own.
func (s *Store) ReplaceBookings(ctx context.Context, changes []booking.Change) []error {
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = s.ReplaceBooking(ctx, c.Booking, c.State, c.HoldNumber, c.Facts...)
	}
	return errs
}

// ClaimObligations implements booking.Store. Each claim is an operation of its own.
func (s *Store) ClaimObligations(ctx context.Context, bookings []booking.Booking, until time.Time) ([]booking.Booking, error) {
	var claimed []booking.Booking
	for _, b := range bookings {
		err := s.do(ctx, "bookings.claim", func() error {
			d := s.bookings[b.ID]
			if d.Revision == b.Revision && d.DischargeAt.Equal(b.DischargeAt) {
				d.DischargeAt = until
				s.bookings[b.ID] = d
				*s.writes++
				claimed = append(claimed, d.Booking)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// StoreObligations implements booking.Store. Each write is an operation of its own.
func (s *Store) StoreObligations(ctx context.Context, bookings []booking.Booking) error {
	for _, b := range bookings {
		err := s.do(ctx, "bookings.discharge", func() error {
			if d, ok := s.bookings[b.ID]; ok && d.Revision == b.Revision {
				d.Owes, d.DischargeAt = b.Owes, b.DischargeAt
				s.bookings[b.ID] = d
				*s.writes++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func newEntries(facts []booking.Fact) []outboxEntry {
	var entries []outboxEntry
	for _, f := range facts {
		entries = append(entries, outboxEntry{Fact: f})
	}
	return entries
}

// ListBookings implements booking.Finder.
func (s *Store) ListBookings(ctx context.Context, q booking.Query) ([]booking.Booking, error) {
	found, err := s.find(ctx, "bookings.list", func(b booking.Booking) bool {
		return matches(q, b) && (q.After == nil || newestFirst(b, booking.Booking{CreatedAt: q.After.CreatedAt, ID: q.After.ID}) > 0)
	}, newestFirst)
	return found[:min(len(found), q.Limit)], err
}

// CountBookings implements booking.Finder.
func (s *Store) CountBookings(ctx context.Context, q booking.Query) (int64, error) {
	found, err := s.find(ctx, "bookings.count", func(b booking.Booking) bool { return matches(q, b) }, newestFirst)
	return int64(min(len(found), q.Limit)), err
}

func matches(q booking.Query, b booking.Booking) bool {
	return b.State != booking.Refused &&
		(q.UserID == "" || b.UserID == q.UserID) &&
		(q.EventID == "" || b.EventID == q.EventID) &&
		(q.State == "" || b.State == q.State) &&
		(q.From == nil || !b.CreatedAt.Before(*q.From)) &&
		(q.To == nil || b.CreatedAt.Before(*q.To))
}

// DueBookings implements booking.Finder.
func (s *Store) DueBookings(ctx context.Context, eventID string, now time.Time, limit int) ([]booking.Booking, error) {
	found, err := s.find(ctx, "bookings.due", func(b booking.Booking) bool {
		return b.State == booking.Pending && !b.ExpiresAt.After(now) && (eventID == "" || b.EventID == eventID)
	}, func(a, b booking.Booking) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), strings.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), limit)], err
}

// OwingBookings implements booking.Finder.
func (s *Store) OwingBookings(ctx context.Context, now time.Time, limit int) ([]booking.Booking, error) {
	found, err := s.find(ctx, "bookings.owing", func(b booking.Booking) bool {
		return !b.DischargeAt.IsZero() && !b.DischargeAt.After(now)
	}, func(a, b booking.Booking) int {
		return cmp.Or(a.DischargeAt.Compare(b.DischargeAt), strings.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), limit)], err
}

// CountPendingTickets implements booking.Finder.
func (s *Store) CountPendingTickets(ctx context.Context, userID string, now time.Time, _ int64) (int64, error) {
	found, err := s.find(ctx, "bookings.pending", func(b booking.Booking) bool {
		return b.State == booking.Pending && b.UserID == userID && b.ExpiresAt.After(now)
	}, newestFirst)
	var tickets int64
	for _, b := range found {
		tickets += b.Quantity
	}
	return tickets, err
}

// LiveBookings implements booking.Finder.
func (s *Store) LiveBookings(ctx context.Context, eventID, after string, limit int) ([]booking.Booking, error) {
	found, err := s.find(ctx, "bookings.live", func(b booking.Booking) bool {
		return b.IsLive() && b.EventID == eventID && b.ID > after
	}, func(a, b booking.Booking) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(len(found), limit)], err
}

func (s *Store) find(ctx context.Context, op string, match func(booking.Booking) bool, order func(a, b booking.Booking) int) ([]booking.Booking, error) {
	var found []booking.Booking
	err := s.do(ctx, op, func() error {
		for _, d := range s.bookings {
			if match(d.Booking) {
				found = append(found, d.Booking)
			}
		}
		return nil
	})
	slices.SortFunc(found, order)
	return found, err
}

func newestFirst(a, b booking.Booking) int {
	return -cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
}

// Unsent returns the facts that are not marked as sent, ordered by booking and then
// from oldest to newest.
func (s *Store) Unsent() []booking.Fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	var facts []booking.Fact
	for _, id := range slices.Sorted(maps.Keys(s.bookings)) {
		for _, e := range s.bookings[id].outbox {
			if !e.isSent {
				facts = append(facts, e.Fact)
			}
		}
	}
	return facts
}

// MarkSent marks a fact as published.
func (s *Store) MarkSent(bookingID, factID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.bookings[bookingID]
	d.outbox = slices.Clone(d.outbox)
	for i := range d.outbox {
		if d.outbox[i].ID == factID {
			d.outbox[i].isSent = true
		}
	}
	s.bookings[bookingID] = d
}

// Writes returns the number of writes that took effect.
func (s *Store) Writes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.writes
}

// Contents returns all records by id.
func (s *Store) Contents() map[string]booking.Booking {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]booking.Booking, len(s.bookings))
	for id, d := range s.bookings {
		all[id] = d.Booking
	}
	return all
}
