package page_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/page"
	"boxoffice/shared/validation"
)

type position struct {
	Name string `json:"n"`
	ID   string `json:"i"`
}

var cursors = page.NewCursors("a secret")

func TestCursorRoundTrip(t *testing.T) {
	for _, want := range []position{{}, {"Zürich", "x"}, {strings.Repeat("ü", 200), strings.Repeat("i", 64)}} {
		cursor, err := cursors.Encode("list", want)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		var got position
		if err := cursors.Decode("list", cursor, &got); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestDecodeRefusesOtherCursors(t *testing.T) {
	cursor, err := cursors.Encode("list", position{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := page.NewCursors("another secret").Encode("list", position{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := page.Cursors{}.Encode("list", position{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte(`123456789012{"n":"a","i":"b"}`))
	for name, tt := range map[string]struct{ list, cursor string }{
		"from another list": {"other", cursor}, "empty": {"list", ""}, "truncated": {"list", cursor[:len(cursor)-2]},
		"extended": {"list", cursor + "AA"}, "not base64": {"list", "%"}, "forged": {"list", forged},
		"signed with another secret": {"list", foreign}, "signed with an empty key": {"list", unsigned},
		"in lower case": {"list", strings.ToLower(cursor)}, "too long": {"list", strings.Repeat("A", 1<<20)},
	} {
		var got position
		err := cursors.Decode(tt.list, tt.cursor, &got)
		e, ok := errors.AsType[*apperr.Error](err)
		if !ok || e.Code != apperr.Invalid || len(e.Fields) != 1 || e.Fields[0].Field != "cursor" {
			t.Errorf("%s: got %v, want an Invalid error about the field cursor", name, err)
		}
	}
}

func TestLimit(t *testing.T) {
	for n, want := range map[int]struct {
		limit int
		ok    bool
	}{0: {20, true}, 1: {1, true}, 100: {100, true}, 101: {101, false}, -1: {-1, false}} {
		var problems validation.Problems
		if got := page.Limit(n, &problems); got != want.limit || (problems.Err() == nil) != want.ok {
			t.Errorf("limit %d: got %d, error %v, want %+v", n, got, problems.Err(), want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	cursor, err := cursors.Encode("list", position{"a", "b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cursor)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		var got position
		if err := cursors.Decode("list", s, &got); err != nil {
			return
		}
		if again, err := cursors.Encode("list", got); err != nil || again != s {
			t.Errorf("encode the decoded position: got %q, %v, want %q", again, err, s)
		}
	})
}
