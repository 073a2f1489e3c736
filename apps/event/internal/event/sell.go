package event

import (
	"context"
	"errors"
	"time"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// SellSeats counts the seats of up to eventapi.MaxReserves holds of one event as sold; see
// eventapi.SellSeats. The results are in the order of the requests.
func (s *Service) SellSeats(ctx context.Context, reqs []eventapi.SellRequest) ([]rpc.Result[rpc.Nothing], error) {
	if err := validateSells(reqs); err != nil {
		return nil, err
	}
	results := make([]rpc.Result[rpc.Nothing], len(reqs))
	sells := make([]*Member, len(reqs)) // nil where the request is invalid
	var members []*Member
	for i, req := range reqs {
		if results[i].Err = validateSell(req); results[i].Err == nil {
			sells[i] = newSell(req.HoldID)
			members = append(members, sells[i])
		}
	}
	s.joinBatch(ctx, reqs[0].EventID, members...)
	completeAll(ctx, len(reqs), func(ctx context.Context, i int) {
		if m := sells[i]; m != nil {
			results[i].Err = s.completeSell(ctx, m)
		}
	})
	return results, nil
}

// sell counts the seats of a held hold as sold. It leaves a hold that is sold,
// released or unknown as it is, and does nothing if the event is gone.
func (s *Service) sell(ctx context.Context, eventID, holdID string) error {
	m := newSell(holdID)
	s.joinBatch(ctx, eventID, m)
	return s.completeSell(ctx, m)
}

func newSell(holdID string) *Member { return &Member{holdID: holdID, decide: decideSell} }

// completeSell finishes the step of a sale whose batch has ended.
func (s *Service) completeSell(ctx context.Context, m *Member) (err error) {
	defer recoverTo(&err, "sale of hold "+m.holdID)
	if _, err := s.complete(ctx, m); !errors.Is(err, errGone) {
		return err
	}
	return nil
}

// decideSell is the decision to sell a hold if it is held.
func decideSell(_ Event, h *Hold, now time.Time) outcome {
	if h == nil || h.State != Held {
		return keepHold()
	}
	next := *h
	next.State, next.MovedAt, next.SettleAt = Sold, now, time.Time{}
	return moveTo(next)
}
