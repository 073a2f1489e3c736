package event

import (
	"context"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/idempotency"
)

// CheckCreateEvent returns the error of CreateEvent for a request with invalid values.
func (s *Service) CheckCreateEvent(_ context.Context, req eventapi.CreateRequest) error {
	var p problems
	if key := req.IdempotencyKey; key != "" {
		idempotency.CheckKey(&p.Problems, key)
		req.EventID = idempotency.ID(req.OrganizerID, key)
	}
	if _, err := newEvent(req, s.now()); err != nil {
		p.Problems = append(p.Problems, apperr.From(err).Fields...)
	}
	return p.Err()
}

// CheckUpdateEvent returns the error of UpdateEvent for a request with invalid values. If
// there is no such event, or it cannot be read, nothing is known about the values.
func (s *Service) CheckUpdateEvent(ctx context.Context, req eventapi.UpdateRequest) error {
	e, err := s.events.GetEvent(ctx, req.EventID)
	if err != nil {
		return nil //nolint:nilerr // the caller reports the malformed fields
	}
	return e.apply(req.Changes, s.now())
}
