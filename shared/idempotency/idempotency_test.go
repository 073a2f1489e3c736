package idempotency_test

import (
	"strings"
	"testing"

	"boxoffice/shared/idempotency"
	"boxoffice/shared/validation"
)

func TestCheckKeyAcceptsVisibleASCII(t *testing.T) {
	for key, want := range map[string]bool{
		"k": true, "!~": true, strings.Repeat("k", 128): true,
		"": false, strings.Repeat("k", 129): false, "a b": false, "a\tb": false, "é": false, "a\x7f": false,
	} {
		var p validation.Problems
		idempotency.CheckKey(&p, key)
		if got := len(p) == 0; got != want {
			t.Errorf("%q: got valid %v, want %v", key, got, want)
		}
	}
}

func TestIDIsAValidIDOfOneUser(t *testing.T) {
	id := idempotency.ID("u1", "é\n key")
	if !validation.IsID(id) {
		t.Errorf("got %q, which is not an id", id)
	}
	if id != idempotency.ID("u1", "é\n key") || id == idempotency.ID("u2", "é\n key") || id == idempotency.ID("u1", "other") {
		t.Error("the id does not depend on exactly the user and the key")
	}
}
