package event_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

// handlers returns the handlers of facts that move seats, by the type of the fact.
func handlers(f *fixture) map[string]func(bookingapi.Fact) error {
	ctx := f.t.Context()
	return map[string]func(bookingapi.Fact) error{
		bookingapi.FactConfirmed: func(fact bookingapi.Fact) error { return f.Service.OnBookingConfirmed(ctx, fact) },
		bookingapi.FactCancelled: func(fact bookingapi.Fact) error { return f.Service.OnBookingCancelled(ctx, fact) },
		bookingapi.FactExpired:   func(fact bookingapi.Fact) error { return f.Service.OnBookingExpired(ctx, fact) },
	}
}

// Facts that the booking app does not confirm move no seats, whatever they contain.
func TestFactsThatTheBookingAppDoesNotConfirmMoveNoSeats(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("sold_1_x", "u1", 2)
	f.reserve("held_1_x", "u1", 3)
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("sold_1_x", "u1", 2)), nil)
	f.settlements["held_1_x"] = bookingapi.Settlement{Live: true}
	elsewhere := f.fact("sold_1_x", "u1", 2)
	elsewhere.Resource.EventID = "other"
	for kind, handle := range handlers(f) {
		for _, fact := range []bookingapi.Fact{
			f.fact("sold_1_x", "u1", 2), f.fact("sold_1_x", "somebody", 9), f.fact("held_1_x", "u1", 3), f.fact("unknown_1_x", "u1", 1), elsewhere,
		} {
			f.wantErr(kind+" "+fact.Resource.HoldID, handle(fact), nil)
		}
		f.wantSeats(kind, 5, 3, 2)
	}
	if slices.Contains(f.asked, "unknown_1_x") {
		t.Error("the booking app was asked about a hold that does not exist, which would leave a record")
	}
	if _, exists := f.store.Contents().Holds["unknown_1_x"]; exists {
		t.Error("a fact about an unknown hold wrote a tombstone")
	}
}

// A confirmed fact moves what the stored hold says, not what the fact says.
func TestFactsMoveTheSeatsOfTheStoredHold(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	fact := f.fact("a_1_x", "somebody", 9)
	fact.Resource.EventID = "other"
	f.wantErr("fact", f.OnBookingExpired(t.Context(), fact), nil)
	f.wantSeats("expired", 10, 0, 0)
}

// The booking app's answer decides, even if a fact of another type arrives first.
func TestStaleFactsLeadToTheCurrentState(t *testing.T) {
	for answer, want := range map[bookingapi.Settlement]event.HoldState{
		{Live: true}: event.Held, {Live: true, Confirmed: true}: event.Sold, {}: event.Released, {Confirmed: true}: event.Released,
	} {
		for kind := range handlers(newFixture(t)) {
			f := newFixture(t)
			f.createGala(nil)
			f.reserve("a_1_x", "u1", 2)
			f.settlements["a_1_x"] = answer
			f.wantErr(kind, handlers(f)[kind](f.fact("a_1_x", "u1", 2)), nil)
			f.wantState(fmt.Sprintf("%s, answer %+v", kind, answer), "a_1_x", want)
		}
	}
}

// While the booking app does not answer, facts move nothing. If it is unreachable or silent,
// the obligation in the booking's record is the repeat; any other failure is one of this fact.
func TestFactsMoveNothingWithoutAnAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		err         error
		isRedeliver bool // whether the fact is delivered again
	}{
		"silent":      {err: apperr.TimedOut(errors.New("no reply"))},
		"unreachable": {err: apperr.Unreachable(errors.New("refused"))},
		"overloaded":  {err: apperr.Overloaded(time.Second), isRedeliver: true},
		"broken":      {err: errors.New("a bug"), isRedeliver: true},
	} {
		f := newFixture(t)
		f.createGala(nil)
		f.reserve("a_1_x", "u1", 2)
		want := func(text string, err error) {
			t.Helper()
			if (err != nil) != tt.isRedeliver || err != nil && apperr.VerdictOf(err) == apperr.Refused {
				t.Errorf("%s, %s: got %v, want another delivery: %v", name, text, err, tt.isRedeliver)
			}
		}
		for kind, handle := range handlers(f) {
			f.settleErr = tt.err
			want(kind, handle(f.fact("a_1_x", "u1", 2)))
			f.settleErr, f.unsettled = nil, map[string]error{"a_1_x": tt.err}
			want(kind+" for the hold", handle(f.fact("a_1_x", "u1", 2)))
			f.unsettled = nil
		}
		f.wantSeats("nothing moved", 8, 2, 0)
		f.wantErr("the booking app is back", f.OnBookingExpired(t.Context(), f.fact("a_1_x", "u1", 2)), nil)
		f.wantSeats("expired", 10, 0, 0)
	}
}

// Usually the booking app has moved the hold by a direct call. The fact then asks nothing.
func TestFactsAboutHoldsThatHaveMovedAskNothing(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("sold_1_x", "u1", 2)
	f.reserve("gone_1_x", "u1", 3)
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("sold_1_x", "u1", 2)), nil)
	f.release("gone_1_x", "u1", 3)
	f.restart() // it has forgotten the release
	f.asked, f.settleCalls = nil, 0
	f.wantErr("confirmed", f.Service.OnBookingConfirmed(t.Context(), f.fact("sold_1_x", "u1", 2)), nil)
	for kind, handle := range handlers(f) {
		f.wantErr(kind, handle(f.fact("gone_1_x", "u1", 3)), nil)
	}
	if f.settleCalls != 0 {
		t.Errorf("got %d calls about %q, want none", f.settleCalls, f.asked)
	}
}

// A forged fact must not keep a hold from being settled for years.
func TestFactsPostponeSettlementByALimitedTime(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	fact := f.fact("a_1_x", "u1", 2)
	fact.Resource.ExpiresAt = contract.At(f.now.AddDate(50, 0, 0))
	f.wantErr("created", f.OnBookingCreated(t.Context(), fact), nil)
	f.wantErr("flush", f.FlushLinks(t.Context()), nil)
	if got, latest := f.store.Contents().Holds["a_1_x"].SettleAt, f.now.Add(2*time.Hour); got.IsZero() || got.After(latest) {
		t.Errorf("the hold is settled at %s, want at %s or earlier", got, latest)
	}
}
