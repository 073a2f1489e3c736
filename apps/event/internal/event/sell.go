package event

import (
	"context"
	"errors"
	"time"
)

// sell counts the seats of a held hold as sold. It leaves a hold that is sold,
// released or unknown as it is, and does nothing if the event is gone.
func (s *Service) sell(ctx context.Context, eventID, holdID string) error {
	_, err := s.move(ctx, eventID, &Member{holdID: holdID, decide: decideSell})
	if errors.Is(err, errGone) {
		return nil
	}
	return err
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
