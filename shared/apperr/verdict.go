package apperr

// Verdict tells a caller what an error means for the operation it asked for.
type Verdict int

// The verdicts.
const (
	// Refused means that the operation did not take place and never will: the answer
	// is definite.
	Refused Verdict = iota + 1
	// Retryable means that the operation did not take place because of load. The same
	// request may succeed later.
	Retryable
	// Unknown means that the operation may or may not have taken place: the other side
	// failed, or its answer did not arrive.
	Unknown
)

// VerdictOf returns the verdict on err, which must not be nil. An error that is not
// an *Error is Unknown.
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

// Unanswered reports whether err means that the other side was unreachable or did
// not answer in time. Another request would probably wait for its deadline as well.
func Unanswered(err error) bool {
	e := From(err)
	return e.Failure() && (e.Code == Unavailable || e.Code == Timeout)
}
