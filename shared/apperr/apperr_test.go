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

func TestCodesParse(t *testing.T) {
	for _, code := range apperr.Codes() {
		if got, err := apperr.ParseCode(string(code)); err != nil || got != code {
			t.Errorf("%s: got %s, %v", code, got, err)
		}
	}
	if got, err := apperr.ParseCode("teapot"); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

func TestIsComparesCodeAndReason(t *testing.T) {
	soldOut := apperr.New(apperr.Conflict, "booking.sold_out", "Sold out.")
	err := fmt.Errorf("reserve: %w", apperr.New(apperr.Conflict, "booking.sold_out", "2 left.").WithCause(io.EOF))
	if !errors.Is(err, soldOut) || !errors.Is(err, io.EOF) {
		t.Errorf("%v is neither", err)
	}
	for _, other := range []*apperr.Error{
		apperr.New(apperr.Conflict, "event.cancelled", ""), apperr.New(apperr.NotFound, "booking.sold_out", ""),
	} {
		if errors.Is(err, other) {
			t.Errorf("%v is %v", err, other)
		}
	}
}

func TestFrom(t *testing.T) {
	named := apperr.New(apperr.Forbidden, "", "")
	for _, tt := range []struct {
		err    error
		code   apperr.Code
		reason string
	}{
		{named, apperr.Forbidden, "forbidden"},
		{fmt.Errorf("wrapped: %w", named), apperr.Forbidden, "forbidden"},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), apperr.Timeout, "timeout"},
		{io.EOF, apperr.Internal, "internal"},
	} {
		got := apperr.From(tt.err)
		if got.Code != tt.code || got.Reason != tt.reason {
			t.Errorf("%v: got %v, want %s %s", tt.err, got, tt.code, tt.reason)
		}
		if !errors.Is(got, tt.err) && got != named {
			t.Errorf("%v: the cause is gone", tt.err)
		}
		if strings.Contains(got.Message, "EOF") {
			t.Errorf("the cause is in the message: %s", got.Message)
		}
	}
}

func TestFailuresOpenBreakersAndRefusalsDoNot(t *testing.T) {
	failures := map[apperr.Code]bool{apperr.Internal: true, apperr.Unavailable: true, apperr.Timeout: true}
	for _, code := range apperr.Codes() {
		if got := apperr.New(code, "", "").Failure(); got != failures[code] {
			t.Errorf("%s: got %v", code, got)
		}
	}
	if apperr.Overloaded(time.Second).Failure() || !apperr.Unreachable(io.EOF).Failure() {
		t.Error("a full queue is a refusal, a lost store is a failure")
	}
}
