package apperr

// Verdict is what an error says about the operation that returned it.
type Verdict int

// The verdicts.
const (
	// Refused means that the operation definitely did not take place.
	Refused Verdict = iota + 1
	// Retryable means that the operation did not take place because of load. The same
	// request may succeed later.
	Retryable
	// Unknown means that the operation may or may not have taken place: the app failed,
	// or its answer did not arrive.
	Unknown
)

// VerdictOf returns the verdict on err, which must not be nil. It is the only function
// that decides whether an error is a refusal. An error that is not an *Error is Unknown.
func VerdictOf(err error) Verdict {
	e := From(err)
	switch {
	case e.Failure():
		return Unknown
	case e.Code == Unavailable, e.Code == RateLimited:
		return Retryable
	}
	return Refused
}

// Unanswered reports whether err means that an app was unreachable or did not answer in
// time. Another request to the app would probably also wait until its deadline.
func Unanswered(err error) bool {
	e := From(err)
	return e.Failure() && (e.Code == Unavailable || e.Code == Timeout)
}
