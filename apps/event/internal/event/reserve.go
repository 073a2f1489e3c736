package event

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/cas"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// completeTimeout limits the work that a reserve does after its batch has ended. The
// other reserves of the same request wait for it.
const completeTimeout = 2 * time.Second

// errReservedByDuplicate is returned by an attempt of a reserve that was refused while
// a concurrent duplicate request reserved the same hold.
var errReservedByDuplicate = errors.New("a duplicate request reserved the hold")

// ReserveSeats reserves the seats of up to eventapi.MaxReserves holds of one event; see
// eventapi.ReserveSeats. The results are in the order of the requests.
func (s *Service) ReserveSeats(ctx context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	if err := validateReserves(reqs); err != nil {
		return nil, err
	}
	results := make([]rpc.Result[eventapi.Reservation], len(reqs))
	reserves := make([]*reserve, len(reqs)) // nil where the request is invalid
	var members []*Member
	for i, req := range reqs {
		if results[i].Err = validateReserve(req); results[i].Err == nil {
			reserves[i] = s.newReserve(req)
			members = append(members, reserves[i].member)
		}
	}
	s.joinBatch(ctx, reqs[0].EventID, members...)
	// Most reserves have nothing left to do. The others complete concurrently, so that
	// a slow one does not use up the time of the rest.
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	var others sync.WaitGroup
	complete := func(i int) {
		if r := reserves[i]; r != nil {
			results[i].Data, results[i].Err = r.complete(ctx)
		}
	}
	for i := range reserves[1:] {
		others.Go(func() { complete(i + 1) })
	}
	complete(0)
	others.Wait()
	return results, nil
}

// reserve is the reservation of one hold.
type reserve struct {
	svc    *Service
	hold   Hold    // as requested, without the fields that the event determines
	member *Member // of the batch that last tried; nil if a new batch must try
}

func (s *Service) newReserve(req eventapi.ReserveRequest) *reserve {
	r := &reserve{svc: s, hold: Hold{
		ID: req.HoldID, EventID: req.EventID, UserID: req.UserID, Quantity: req.Quantity, State: Held,
		ExpiresAt: instant(req.ExpiresAt.Time),
	}}
	r.member = r.newMember()
	return r
}

func (r *reserve) newMember() *Member {
	return &Member{holdID: r.hold.ID, isLimited: true, decide: decideReserve(r.hold, r.svc.settleAfter)}
}

// decideReserve returns the decision to hold the seats of a new hold.
func decideReserve(wanted Hold, settleAfter time.Duration) decision {
	return func(e Event, h *Hold, now time.Time) outcome {
		switch {
		case h != nil && h.State == Released:
			return failWith(ErrHoldDead)
		case h != nil:
			return keepHold() // its seats are counted already
		}
		if err := e.Sells(now); err != nil {
			return failWith(err)
		}
		if wanted.Quantity > e.Seats.Available {
			return failWith(soldOut(e.Seats.Available))
		}
		next := wanted
		next.UnitPrice, next.MovedAt, next.SettleAt = e.Price, now, now.Add(settleAfter)
		return moveTo(next)
	}
}

// complete returns the result of a reserve whose batch has ended. A reserve that was
// refused after it claimed a limit entry first gives the entry back. If it turns out
// that a concurrent duplicate request reserved the hold meanwhile, the reserve is
// repeated.
func (r *reserve) complete(ctx context.Context) (res eventapi.Reservation, err error) {
	defer recoverTo(&err, "reserve of hold "+r.hold.ID)
	err = cas.Retry(ctx, func(ctx context.Context) error {
		if r.member == nil {
			r.member = r.newMember()
			r.svc.joinBatch(ctx, r.hold.EventID, r.member)
		}
		h, err := r.result(ctx)
		if err != nil {
			return r.giveUp(ctx, err)
		}
		res.UnitPrice = h.UnitPrice
		return nil
	}, errReservedByDuplicate)
	return res, err
}

// result returns the reserved hold of one batch, or the error that the client is to
// see.
func (r *reserve) result(ctx context.Context) (*Hold, error) {
	h, err := r.svc.complete(ctx, r.member)
	switch {
	case errors.Is(err, errGone):
		return nil, ErrNotFound
	case errors.Is(err, ErrSoldOut):
		return nil, r.limitBeforeSoldOut(ctx, err)
	}
	return h, err
}

// limitBeforeSoldOut returns ErrLimitExceeded if the user's limit would refuse the hold
// as well, and otherwise refusal. An event that is sold out makes no claims, so the
// limit has not been checked yet; of the two refusals the limit's takes precedence.
func (r *reserve) limitBeforeSoldOut(ctx context.Context, refusal error) error {
	isExceeded, err := r.svc.exceedsLimit(ctx, r.member.event, r.hold)
	switch {
	case err != nil:
		return err
	case isExceeded:
		return ErrLimitExceeded
	}
	return refusal
}

// giveUp returns the error of a refused reserve. If the reserve may have left a limit
// entry, giveUp first writes a tombstone, so that a concurrent duplicate request that
// found the entry cannot succeed anymore, and then gives the entry back. It returns
// errReservedByDuplicate if the duplicate has already succeeded.
func (r *reserve) giveUp(ctx context.Context, refusal error) error {
	if r.member.entry == noEntry || apperr.VerdictOf(refusal) != apperr.Refused {
		return refusal
	}
	tombstone := r.hold
	tombstone.Limited = true
	isCounted, err := r.svc.writeTombstone(ctx, tombstone)
	switch {
	case err != nil:
		return err
	case isCounted:
		r.member = nil
		return errReservedByDuplicate
	}
	return refusal
}

// recoverTo turns a panic of the deferring function into an error. The requests of a
// batch are independent, so a panic of one must not end the others.
func recoverTo(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v\n%s", what, p, debug.Stack())
	}
}
