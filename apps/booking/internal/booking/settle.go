package booking

import (
	"context"
	"fmt"
	"sync"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// SettleHolds implements bookingapi.SettleHolds. It settles the holds concurrently.
func (s *Service) SettleHolds(ctx context.Context, reqs []bookingapi.SettleRequest) ([]rpc.Result[bookingapi.Settlement], error) {
	if n := len(reqs); n == 0 || n > bookingapi.MaxSettles {
		return nil, apperr.InvalidFields(apperr.Field{
			Field: "data", Code: "out_of_range", Message: fmt.Sprintf("must contain 1 to %d holds", bookingapi.MaxSettles),
		})
	}
	results := make([]rpc.Result[bookingapi.Settlement], len(reqs))
	var others sync.WaitGroup
	for i := 1; i < len(reqs); i++ {
		others.Go(func() { results[i].Data, results[i].Err = s.settle(ctx, reqs[i]) })
	}
	results[0].Data, results[0].Err = s.settle(ctx, reqs[0])
	others.Wait()
	return results, nil
}

// settle is SettleHold. A panic becomes an error, so that it does not affect the other holds of
// the request.
func (s *Service) settle(ctx context.Context, req bookingapi.SettleRequest) (_ bookingapi.Settlement, err error) {
	defer recoverTo(&err, "settle hold "+req.HoldID)
	return s.SettleHold(ctx, req)
}

// SettleHold returns whether a live booking uses a hold. It invalidates the number of a hold
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
