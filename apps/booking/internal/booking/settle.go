package booking

import (
	"context"
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// SettleHold says whether a hold stands behind a live booking; see
// bookingapi.SettleHold.
func (s *Service) SettleHold(ctx context.Context, req bookingapi.SettleRequest) (bookingapi.Settlement, error) {
	id, n, err := parseHoldID(req.HoldID)
	if err != nil {
		return bookingapi.Settlement{}, apperr.InvalidFields(
			apperr.Field{Field: "holdId", Code: "invalid", Message: "is not a hold's id"}).WithCause(err)
	}
	known, err := s.look(ctx, id)
	if err != nil {
		return bookingapi.Settlement{}, err
	}
	b, err := s.kill(ctx, id, n, known)
	switch {
	case err != nil:
		return bookingapi.Settlement{}, fmt.Errorf("settle hold %s: %w", req.HoldID, err)
	case b == nil || !b.Live() || b.HoldID != req.HoldID:
		return bookingapi.Settlement{}, nil
	}
	return bookingapi.Settlement{Live: true, Confirmed: b.State == Confirmed}, nil
}
