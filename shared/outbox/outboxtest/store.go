// Package outboxtest provides an outbox store in memory, and the conformance suite that
// every outbox store must pass.
package outboxtest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"boxoffice/shared/outbox"
)

// Store is an outbox.Store that keeps boxes in memory. It is safe for concurrent use.
type Store struct {
	mu        sync.Mutex
	boxes     map[string]outbox.Box
	watermark time.Time
}

var _ outbox.Store = (*Store)(nil)

// NewStore returns an empty store.
func NewStore() *Store { return &Store{boxes: map[string]outbox.Box{}} }

// Add appends records to the box of a document, and creates the document if necessary.
// The box becomes due at the given time, unless it is already due earlier.
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
	stored, err := s.Box(ctx, b.Document)
	if err != nil {
		return outbox.ErrStale
	}
	b.Records = stored.Records // if they have changed since, so has the version
	b.Due, b.Trim = due, time.Time{}
	return s.SaveBox(ctx, b)
}

// SaveBox implements outbox.Store.
func (s *Store) SaveBox(_ context.Context, b outbox.Box) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored, ok := s.boxes[b.Document]; !ok || stored.Version != b.Version {
		return outbox.ErrStale
	}
	b.Version++
	b.Records = slices.Clone(b.Records)
	s.boxes[b.Document] = b
	return nil
}

// DueBoxes implements outbox.Store.
func (s *Store) DueBoxes(_ context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	return s.boxesBefore(t, limit, func(b outbox.Box) time.Time { return b.Due }), nil
}

// RetainedBoxes implements outbox.Store.
func (s *Store) RetainedBoxes(_ context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	return s.boxesBefore(t, limit, func(b outbox.Box) time.Time { return b.Trim }), nil
}

// boxesBefore returns the boxes for which at returns a time before t, ordered by that time.
// It returns at most limit of them.
func (s *Store) boxesBefore(t time.Time, limit int, at func(outbox.Box) time.Time) []outbox.Box {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []outbox.Box
	for _, b := range s.boxes {
		if !at(b).IsZero() && at(b).Before(t) {
			b.Records = slices.Clone(b.Records)
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b outbox.Box) int {
		return cmp.Or(at(a).Compare(at(b)), cmp.Compare(a.Document, b.Document))
	})
	return found[:min(len(found), limit)]
}

// RaiseWatermark implements outbox.Store.
func (s *Store) RaiseWatermark(_ context.Context, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.After(s.watermark) {
		s.watermark = t
	}
	return nil
}

// Watermark implements outbox.Store.
func (s *Store) Watermark(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watermark, nil
}
