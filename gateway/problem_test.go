package main_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/apperr"
)

func TestEveryCodeBecomesAProblem(t *testing.T) {
	statuses := map[apperr.Code]int{
		apperr.Invalid: 400, apperr.Unauthenticated: 401, apperr.Forbidden: 403, apperr.NotFound: 404,
		apperr.Conflict: 409, apperr.PreconditionFailed: 412, apperr.Unprocessable: 422, apperr.RateLimited: 429,
		apperr.Internal: 500, apperr.Unavailable: 503, apperr.Timeout: 504,
	}
	for _, code := range apperr.Codes() {
		h := newHarness(t)
		e := apperr.New(code, "auth.because", "Because.")
		e.Fields = []apperr.Field{{Field: "email", Code: "taken", Message: "is taken"}}
		e.RetryAfter = 1500 * time.Millisecond
		h.auth.fail = e.WithCause(errors.New("the secret cause"))
		res := h.do("POST", "/api/auth/login", loginBody)
		p := h.wantProblem(res, statuses[code], "auth.because")
		if p.Detail != "Because." || len(p.Errors) != 1 || p.Errors[0] != e.Fields[0] || p.Instance != "/api/auth/login" {
			t.Errorf("%s: got %+v, want detail, errors and instance of %+v", code, p, e)
		}
		if strings.Contains(res.body, "secret") {
			t.Errorf("%s: got a response that contains the cause: %s", code, res.body)
		}
		if got := res.Header.Get("Retry-After"); got != "2" && code != apperr.Unauthenticated {
			t.Errorf("%s: Retry-After: got %q, want 2", code, got)
		}
	}
}

func TestUnknownErrorIsInternalAndLoggedOnce(t *testing.T) {
	h := newHarness(t)
	h.auth.fail = errors.New("the secret cause")
	res := h.do("POST", "/api/auth/login", loginBody)
	h.wantProblem(res, 500, "internal")
	if strings.Contains(res.body, "secret") {
		t.Errorf("got a response that contains the cause: %s", res.body)
	}
	if got := strings.Count(h.log.String(), "the secret cause"); got != 1 {
		t.Errorf("got %d log lines with the cause, want 1:\n%s", got, h.log)
	}
}
