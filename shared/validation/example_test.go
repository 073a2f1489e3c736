package validation_test

import (
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/validation"
)

func ExampleProblems() {
	var p validation.Problems
	p.ID("eventId", "not an id")
	p.Range("quantity", 0, 1, 10)
	p.MaxLength("note", "thank you", 5)
	p.Add("status", "invalid", "must be one of draft, published")
	for _, f := range apperr.From(p.Err()).Fields {
		fmt.Printf("%s %s (%s)\n", f.Field, f.Message, f.Code)
	}
	// Output:
	// eventId must be 1 to 64 characters long and contain only A-Z, a-z, 0-9, _ and - (invalid)
	// quantity must be at least 1 (too_small)
	// note must be at most 5 characters long, but is 9 (too_long)
	// status must be one of draft, published (invalid)
}
