package apperr_test

import (
	"errors"
	"fmt"

	"boxoffice/shared/apperr"
)

// A package declares its refusals as variables. Callers compare them by code and reason,
// even after the error has crossed a process boundary.
func ExampleError() {
	var errSoldOut = apperr.New(apperr.Conflict, "booking.sold_out", "No seats are left. Choose another event.")

	err := fmt.Errorf("reserve seats: %w", errSoldOut.WithCause(errors.New("0 of 100 seats are free")))

	fmt.Println(errors.Is(err, errSoldOut))
	fmt.Println(err)
	fmt.Println(apperr.From(err).Message)
	// Output:
	// true
	// reserve seats: conflict booking.sold_out: No seats are left. Choose another event. (0 of 100 seats are free)
	// No seats are left. Choose another event.
}

// A caller uses the verdict to decide whether to retry an operation or to give up.
func ExampleVerdictOf() {
	react := func(err error) string {
		switch apperr.VerdictOf(err) {
		case apperr.Refused:
			return "tell the client"
		case apperr.Retryable:
			return "retry later"
		default:
			return "find out whether it took place"
		}
	}
	fmt.Println(react(apperr.New(apperr.NotFound, "", "There is no such event.")))
	fmt.Println(react(apperr.Overloaded(0)))
	fmt.Println(react(apperr.Unreachable(errors.New("connection refused"))))
	// Output:
	// tell the client
	// retry later
	// find out whether it took place
}
