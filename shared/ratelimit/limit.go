package ratelimit

import "time"

// Limit allows one subject to send Requests requests of one kind per Period.
type Limit struct {
	Bucket   string        // the kind of request: browse, write, login
	Subject  string        // the user or client address that is counted
	Requests int           // at least 1
	Period   time.Duration // at least a millisecond
	// Peek makes the limit refuse a request without ever counting one. Something else
	// counts against it, for example what came of earlier requests.
	Peek bool
}

// Decision is the outcome of counting a request against one or more limits. It
// describes one of them, the deciding limit. If any limit refuses the request, that
// is the refusing limit with the longest RetryIn. Otherwise it is the limit with the
// smallest Remaining among those without Peek.
type Decision struct {
	Index     int           // position of the deciding limit in the list of limits
	Refused   bool          // if true, the request was not counted against any limit
	Remaining int           // number of further requests that are allowed now
	ResetIn   time.Duration // time until the bucket is full again
	RetryIn   time.Duration // time until a request is allowed again, if Refused
}
