package main_test

import (
	"strings"
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
)

// One problem names the fields that the gateway cannot decode and those whose values the app
// refuses. The app does not carry out the operation.
func TestProblemNamesMalformedAndInvalidFieldsTogether(t *testing.T) {
	h := newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	h.booking.check = apperr.InvalidFields(
		apperr.Field{Field: "eventId", Code: "required"}, apperr.Field{Field: "quantity", Code: "too_small"},
		apperr.Field{Field: "Idempotency-Key", Code: "invalid"},
	)
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "/api/bookings", `{"eventId":5,"quantity":"2"}`, "eventId:invalid quantity:invalid Idempotency-Key:invalid"},
		{"POST", "/api/bookings", `{"eventId":"e1","quantity":0,"x":1}`, "x:unknown eventId:required quantity:too_small Idempotency-Key:invalid"},
		{"POST", "/api/auth/refresh", `{"x":1,"email":5}`, "x:unknown email:invalid refreshToken:required"},
		{"POST", "/api/auth/logout", `{"refreshToken":5,"x":1}`, "refreshToken:invalid x:unknown"},
		{"POST", "/api/auth/logout", `{}`, "refreshToken:required"},
		{"POST", "/api/auth/register", `{"email":5,"name":null,"admin":true}`, "email:invalid name:null admin:unknown"},
		{"PUT", "/api/events/e1", `{"price":{"amount":"1","x":2},"name":7}`, "price.amount:invalid price.x:unknown name:invalid"},
		{"POST", "/api/events/e1/reconcile", `{"mend":"yes","x":1}`, "mend:invalid x:unknown"},
	} {
		var got []string
		for _, f := range h.wantProblem(h.do(tt.method, tt.path, tt.body, bearer(h.token())...), 400, "invalid").Errors {
			got = append(got, f.Field+":"+f.Code)
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s %s %s: got %s, want %s", tt.method, tt.path, tt.body, got, tt.want)
		}
	}
	if h.booking.create.UserID != "" || h.auth.register.UserID != "" || h.event.count("update by admin") > 0 {
		t.Error("got a call of an operation, want none")
	}
}
