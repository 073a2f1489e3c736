package apperr

import "fmt"

// Code classifies an error. The set of codes is closed, so a caller can decide how to
// react without knowing the operation.
type Code string

// The codes, with the HTTP status that the gateway sends for each.
const (
	Invalid            Code = "invalid"             // 400: the request is malformed or has invalid values
	Unauthenticated    Code = "unauthenticated"     // 401: the caller is not identified
	Forbidden          Code = "forbidden"           // 403: the caller may not do this
	NotFound           Code = "not_found"           // 404: there is no such resource, or the caller may not see it
	Conflict           Code = "conflict"            // 409: the state of the resource does not allow the operation
	PreconditionFailed Code = "precondition_failed" // 412: the resource has changed since the caller read it
	Unprocessable      Code = "unprocessable"       // 422: the request is well formed but contradicts an earlier one
	RateLimited        Code = "rate_limited"        // 429: too many requests
	Internal           Code = "internal"            // 500: the app has a defect
	Unavailable        Code = "unavailable"         // 503: overloaded, so that nothing was done, or unreachable with an unknown outcome
	Timeout            Code = "timeout"             // 504: no answer in time; the outcome is unknown
)

// Codes returns all codes, in the order of their HTTP statuses.
func Codes() []Code {
	return []Code{
		Invalid, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed,
		Unprocessable, RateLimited, Internal, Unavailable, Timeout,
	}
}

// ParseCode returns the code with the given name. It returns an error if there is none.
func ParseCode(s string) (Code, error) {
	for _, c := range Codes() {
		if string(c) == s {
			return c, nil
		}
	}
	return "", fmt.Errorf("unknown error code %q", s)
}
