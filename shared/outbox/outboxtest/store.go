// Package outboxtest is what tests of outboxes stand on: a store in memory, and
// the suite that every store must pass.
package outboxtest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"boxoffice/shared/outbox"
)

// Store keeps boxes in memory.
type Store struct {
	mu    sync.Mutex
	boxes map[string]outbox.Box
	since time.Time
}

var _ outbox.Store = (*Store)(nil)

// NewStore returns an empty store.
func NewStore() *Store { return &Store{boxes: map[string]outbox.Box{}} }

// Add appends records to a document's box, which is due from that time on, if it
// is not already.
func (s *Store) Add(document string, due time.Time, records ...outbox.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[document]
	b.Document = document
	b.Version++
	b.Records = append(slices.Clip(b.Records), records...)
	if b.Due.IsZero() || due.Before(b.Due) {
		b.Due = due
	}
	s.boxes[document] = b
}

// Box implements outbox.Store.
func (s *Store) Box(_ context.Context, document string) (outbox.Box, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.boxes[document]
	if !ok {
		return outbox.Box{}, outbox.ErrNoBox
	}
	b.Records = slices.Clone(b.Records)
	return b, nil
}

// ClaimBox implements outbox.Store.
func (s *Store) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	there, err := s.Box(ctx, b.Document)
	if err != nil {
		return outbox.ErrStale
	}
	b.Records = there.Records // should they be others, so is the version
	return s.SaveBox(ctx, b, due)
}

// SaveBox implements outbox.Store.
func (s *Store) SaveBox(_ context.Context, b outbox.Box, due time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there, ok := s.boxes[b.Document]; !ok || there.Version != b.Version {
		return outbox.ErrStale
	}
	b.Version++
	b.Records = slices.Clone(b.Records)
	b.Due = due
	s.boxes[b.Document] = b
	return nil
}

// DueBoxes implements outbox.Store.
func (s *Store) DueBoxes(_ context.Context, from, to time.Time, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []outbox.Box
	for _, b := range s.boxes {
		if !b.Due.IsZero() && !b.Due.Before(from) && b.Due.Before(to) {
			due = append(due, b)
		}
	}
	slices.SortFunc(due, func(a, b outbox.Box) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Document, b.Document))
	})
	var documents []string
	for _, b := range due[:min(len(due), limit)] {
		documents = append(documents, b.Document)
	}
	return documents, nil
}

// Rewind implements outbox.Store.
func (s *Store) Rewind(_ context.Context, since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since.After(s.since) {
		s.since = since
	}
	return nil
}

// Since implements outbox.Store.
func (s *Store) Since(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, nil
}
