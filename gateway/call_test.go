package main_test

import (
	"strings"
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
)

func TestInvalidBodyIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
		field      apperr.Field
	}{
		{name: "truncated JSON", body: `{"email"`, status: 400, code: "invalid"},
		{name: "no body and no content type", status: 415, code: "unsupported_media_type"},
		{name: "empty body with content type JSON", headers: []string{"Content-Type", "application/json"}, status: 400, code: "invalid"},
		{name: "array", body: `[]`, status: 400, code: "invalid"},
		{name: "two values", body: loginBody + `{}`, status: 400, code: "invalid"},
		{name: "unknown field", body: `{"email":"a","password":"b","isAdmin":true}`, status: 400, code: "invalid", field: apperr.Field{Field: "isAdmin", Code: "unknown"}},
		{name: "field name in another case", body: `{"Email":"a","password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "Email", Code: "unknown"}},
		{name: "repeated field", body: `{"email":"a","email":"b","password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "email", Code: "duplicate"}},
		{name: "null field", body: `{"email":null,"password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "email", Code: "null"}},
		{name: "field of the wrong type", body: `{"email":"a","password":7}`, status: 400, code: "invalid", field: apperr.Field{Field: "password", Code: "invalid"}},
		{name: "deep nesting", body: strings.Repeat("[", 30_000), status: 400, code: "invalid"},
		{name: "form", body: "email=a", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
		{name: "compressed", body: loginBody, headers: []string{"Content-Encoding", "gzip"}, status: 415, code: "unsupported_media_type"},
		{name: "unacceptable response type", body: loginBody, headers: []string{"Accept", "text/html"}, status: 406, code: "not_acceptable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			p := h.wantProblem(h.do("POST", "/api/auth/login", tt.body, tt.headers...), tt.status, tt.code)
			if tt.field.Field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field.Field || p.Errors[0].Code != tt.field.Code) {
				t.Errorf("errors: got %v, want one with the field and code of %v", p.Errors, tt.field)
			}
			if h.auth.login.Email != "" {
				t.Error("got a call to auth, want a refusal by the gateway")
			}
		})
	}
}

// The gateway does not check for absent fields. The app does, and reports them together
// with all other invalid fields.
func TestProblemNamesEveryInvalidField(t *testing.T) {
	h := newHarness(t)
	h.auth.fail = apperr.InvalidFields(apperr.Field{Field: "email", Code: "invalid"}, apperr.Field{Field: "password", Code: "required"})
	for _, path := range []string{"/api/auth/register", "/api/auth/login"} {
		if p := h.wantProblem(h.do("POST", path, `{"email":"a"}`), 400, "invalid"); len(p.Errors) != 2 {
			t.Errorf("%s: got errors %v, want 2", path, p.Errors)
		}
	}
}

func TestUserAgentIsTruncatedAtACodePoint(t *testing.T) {
	h := newHarness(t)
	want := strings.Repeat("a", authapi.MaxUserAgent-1)
	h.do("POST", "/api/auth/login", loginBody, "User-Agent", want+"é")
	if got := h.auth.login.Device.UserAgent; got != want {
		t.Errorf("got %d bytes ending in %q, want %d bytes ending in \"aaa\"", len(got), got[max(0, len(got)-3):], len(want))
	}
}
