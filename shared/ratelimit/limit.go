package ratelimit

import "time"

// Limit is a bucket and its size: it allows Requests in Period.
type Limit struct {
	Bucket   string        // the kind of request: browse, write, login
	Subject  string        // the user or client address that is counted
	Requests int           // at least 1
	Period   time.Duration // at least a millisecond
}

// Decision is the outcome of counting a request. If the request was counted
// against several limits, the decision is that of the limit with the longest
// RetryIn if any refuses, and otherwise that of the limit with the least
// Remaining.
type Decision struct {
	Index     int           // position of the deciding limit among those given
	Refused   bool          // the request was not counted against any limit
	Remaining int           // number of requests that would be allowed now
	ResetIn   time.Duration // time until the bucket is full again
	RetryIn   time.Duration // time until the next request would be allowed, if Refused
}
