package apperr

import "fmt"

// Code says in which of few ways something failed. The set is closed: a caller
// can decide by it what to do without knowing the operation.
type Code string

// The codes, with the HTTP status that the gateway answers.
const (
	Invalid            Code = "invalid"             // 400: the request is wrong as it stands
	Unauthenticated    Code = "unauthenticated"     // 401: who asks is not known
	Forbidden          Code = "forbidden"           // 403: who asks may not
	NotFound           Code = "not_found"           // 404: there is no such thing, or not for the asker
	Conflict           Code = "conflict"            // 409: the state of things forbids it
	PreconditionFailed Code = "precondition_failed" // 412: it was changed since the asker looked
	Unprocessable      Code = "unprocessable"       // 422: well formed, and contradicts something earlier
	RateLimited        Code = "rate_limited"        // 429: too often
	Internal           Code = "internal"            // 500: a fault of ours
	Unavailable        Code = "unavailable"         // 503: not now; nothing or something may have happened
	Timeout            Code = "timeout"             // 504: no answer in time; something may have happened
)

// Codes returns all codes, in the order of their statuses.
func Codes() []Code {
	return []Code{
		Invalid, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed,
		Unprocessable, RateLimited, Internal, Unavailable, Timeout,
	}
}

// ParseCode returns the code of that name.
func ParseCode(s string) (Code, error) {
	for _, c := range Codes() {
		if string(c) == s {
			return c, nil
		}
	}
	return "", fmt.Errorf("unknown error code %q", s)
}
