package apperr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/apperr"
)

func TestParseCodeAcceptsExactlyTheCodes(t *testing.T) {
	for _, code := range apperr.Codes() {
		if got, err := apperr.ParseCode(string(code)); err != nil || got != code {
			t.Errorf("%s: got %s, %v, want the code", code, got, err)
		}
	}
	if got, err := apperr.ParseCode("teapot"); err == nil {
		t.Errorf("teapot: got %s, want an error", got)
	}
}

func TestIsComparesCodeAndReason(t *testing.T) {
	soldOut := apperr.New(apperr.Conflict, "booking.sold_out", "Sold out.")
	err := fmt.Errorf("reserve: %w", apperr.New(apperr.Conflict, "booking.sold_out", "2 left.").WithCause(io.EOF))
	if !errors.Is(err, soldOut) || !errors.Is(err, io.EOF) {
		t.Errorf("errors.Is(%v): got false for the reason or the cause, want true for both", err)
	}
	for _, other := range []*apperr.Error{
		apperr.New(apperr.Conflict, "event.cancelled", ""), apperr.New(apperr.NotFound, "booking.sold_out", ""),
	} {
		if errors.Is(err, other) {
			t.Errorf("errors.Is(%v, %v): got true, want false", err, other)
		}
	}
}

func TestFromClassifiesErrorsAndHidesTheirCauses(t *testing.T) {
	forbidden := apperr.New(apperr.Forbidden, "", "")
	for _, tt := range []struct {
		err    error
		code   apperr.Code
		reason string
	}{
		{forbidden, apperr.Forbidden, "forbidden"},
		{fmt.Errorf("wrapped: %w", forbidden), apperr.Forbidden, "forbidden"},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), apperr.Timeout, "timeout"},
		{io.EOF, apperr.Internal, "internal"},
	} {
		got := apperr.From(tt.err)
		if got.Code != tt.code || got.Reason != tt.reason {
			t.Errorf("%v: got %v, want %s %s", tt.err, got, tt.code, tt.reason)
		}
		if !errors.Is(got, tt.err) && got != forbidden {
			t.Errorf("%v: got %v, which does not wrap the cause", tt.err, got)
		}
		if strings.Contains(got.Message, "EOF") {
			t.Errorf("%v: the message %q contains the cause", tt.err, got.Message)
		}
	}
}

func TestOnlyFailuresOpenCircuitBreakers(t *testing.T) {
	failures := map[apperr.Code]bool{apperr.Internal: true, apperr.Unavailable: true, apperr.Timeout: true}
	for _, code := range apperr.Codes() {
		if got := apperr.New(code, "", "").Failure(); got != failures[code] {
			t.Errorf("%s: got failure %v, want %v", code, got, failures[code])
		}
	}
	if apperr.Overloaded(time.Second).Failure() {
		t.Error("overloaded: got a failure, want a refusal")
	}
	if !apperr.Unreachable(io.EOF).Failure() {
		t.Error("unreachable: got a refusal, want a failure")
	}
}
