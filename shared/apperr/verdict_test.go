package apperr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/apperr"
)

func TestVerdictOfEveryKindOfError(t *testing.T) {
	soldOut := apperr.New(apperr.Conflict, "booking.sold_out", "No tickets are left.")
	for name, tt := range map[string]struct {
		err  error
		want apperr.Verdict
	}{
		"refusal":           {soldOut, apperr.Refused},
		"wrapped refusal":   {fmt.Errorf("reserve: %w", soldOut), apperr.Refused},
		"rate limit":        {apperr.TooManyRequests("", "Slow down.", time.Second), apperr.Retryable},
		"full queue":        {apperr.Overloaded(time.Second), apperr.Retryable},
		"busy record":       {fmt.Errorf("release: %w", apperr.Overloaded(0).WithCause(errors.New("64 attempts"))), apperr.Retryable},
		"unreachable":       {apperr.Unreachable(errors.New("connection refused")), apperr.Unknown},
		"timeout":           {apperr.TimedOut(context.DeadlineExceeded), apperr.Unknown},
		"internal error":    {apperr.Fault(errors.New("a bug")), apperr.Unknown},
		"unclassified":      {errors.New("a driver's error"), apperr.Unknown},
		"expired deadline":  {context.DeadlineExceeded, apperr.Unknown},
		"cancelled context": {context.Canceled, apperr.Unknown},
	} {
		if got := apperr.VerdictOf(tt.err); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}
