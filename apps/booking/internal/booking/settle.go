package booking

import (
	"context"
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// SettleHold implements bookingapi.SettleHold. It invalidates the number of a hold
// before it reports the hold as not live, so that the answer stays true.
func (s *Service) SettleHold(ctx context.Context, req bookingapi.SettleRequest) (bookingapi.Settlement, error) {
	id, number, err := bookingapi.ParseHoldID(req.HoldID)
	if err != nil {
		return bookingapi.Settlement{}, apperr.InvalidFields(apperr.Field{
			Field: "holdId", Code: "invalid", Message: "must be a hold id: <booking>_<number>_<fingerprint>",
		}).WithCause(err)
	}
	current, err := s.findRecord(ctx, id)
	if err != nil {
		return bookingapi.Settlement{}, err
	}
	b, err := s.invalidate(ctx, id, number, current, refusedRetention)
	switch {
	case err != nil:
		return bookingapi.Settlement{}, fmt.Errorf("settle hold %s: %w", req.HoldID, err)
	case b == nil || b.HoldID != req.HoldID:
		return bookingapi.Settlement{}, nil
	}
	return bookingapi.Settlement{Live: b.IsLive(), Confirmed: !b.ConfirmedAt.IsZero()}, nil
}
