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

// completeTimeout limits how long the members of a request may work after their batch has
// ended. The response waits for all of them.
const completeTimeout = 2 * time.Second

// errReservedByDuplicate is returned by an attempt to reserve a hold if the attempt was
// refused, but a concurrent duplicate request has reserved the hold.
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
	completeAll(ctx, len(reqs), func(ctx context.Context, i int) {
		if r := reserves[i]; r != nil {
			results[i].Data, results[i].Err = r.complete(ctx)
		}
	})
	return results, nil
}

// completeAll calls complete for each of the n members of a request, whose batch has ended.
// Most members have little left to do. All complete concurrently, so that a slow one does
// not use up the time of the others. complete must not panic.
func completeAll(ctx context.Context, n int, complete func(ctx context.Context, i int)) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	var others sync.WaitGroup
	for i := 1; i < n; i++ {
		others.Go(func() { complete(ctx, i) })
	}
	complete(ctx, 0)
	others.Wait()
}

// reserve is the reservation of one hold.
type reserve struct {
	svc    *Service
	hold   Hold    // as requested, without the fields that the decision sets
	member *Member // in the latest batch; nil if the reserve must join another one
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
	return &Member{holdID: r.hold.ID, mustClaim: true, decide: decideReserve(r.hold, r.svc.settleAfter)}
}

// decideReserve returns the decision to reserve the seats of a hold that does not exist
// yet. It leaves a held or sold hold as it is, and refuses a released one.
func decideReserve(wanted Hold, settleAfter time.Duration) decision {
	return func(e Event, h *Hold, now time.Time) outcome {
		switch {
		case h != nil && h.State == Released:
			return failWith(ErrHoldDead)
		case h != nil:
			return keepHold() // its seats are counted already
		}
		if err := e.checkOnSale(now); err != nil {
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

// complete returns the result of a reserve whose batch has ended. If the reserve was
// refused after it claimed a limit entry, complete first gives the entry back. If a
// concurrent duplicate request reserved the hold meanwhile, complete repeats the
// reserve, which then finds the hold.
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

// result returns the hold that the latest batch reserved or found, or the error for the
// client.
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
// as well, and otherwise refusal. ErrLimitExceeded takes precedence over ErrSoldOut, but
// a reserve that finds too few seats makes no claim, so the limit may not have been checked.
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

// giveUp returns the error of a reserve that did not succeed. If the reserve was refused
// and may have left a limit entry, giveUp first writes a tombstone and then gives the
// entry back. The tombstone makes a concurrent duplicate request fail, even if that
// request has found the entry. If the duplicate has already succeeded, giveUp returns
// errReservedByDuplicate instead.
//
// After any other failure, giveUp leaves a possible entry to the sweep.
func (r *reserve) giveUp(ctx context.Context, refusal error) error {
	if r.member.entry == noEntry || apperr.VerdictOf(refusal) != apperr.Refused {
		return refusal
	}
	tombstone := r.hold
	tombstone.Limited = true
	switch h, err := r.svc.writeTombstone(ctx, tombstone); {
	case err != nil:
		return err
	case h.State != Released:
		r.member = nil
		return errReservedByDuplicate
	}
	return refusal
}

// recoverTo must be deferred. It turns a panic of the deferring function into an error.
// The members of a batch are independent, so a panic in one must not affect the others.
func recoverTo(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v\n%s", what, p, debug.Stack())
	}
}
