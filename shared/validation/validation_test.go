package validation_test

import (
	"slices"
	"strings"
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/validation"
)

func TestIsID(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "Az09_-": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a.b": false, "a b": false, "$a": false, "ä": false, "a\x00": false, "a/b": false,
	} {
		if got := validation.IsID(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestErrNamesEveryProblem(t *testing.T) {
	var p validation.Problems
	p.MaxLength("fits", "éé", 2)
	p.Range("fits", 3, 3, 3)
	p.ID("fits", "id")
	if err := p.Err(); err != nil {
		t.Errorf("valid fields: got %v, want no error", err)
	}
	p.MaxLength("text", "ééé", 2)
	p.Range("low", 0, 1, 2)
	p.Range("high", 3, 1, 2)
	p.ID("none", "")
	p.ID("bad", "a b")
	p.Add("own", "odd", "is %d", 7)
	var got []string
	for _, f := range apperr.From(p.Err()).Fields {
		got = append(got, f.Field+":"+f.Code)
	}
	if want := []string{"text:too_long", "low:too_small", "high:too_large", "none:required", "bad:invalid", "own:odd"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
