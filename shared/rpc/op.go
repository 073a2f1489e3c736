// Package rpc is how one binary of Boxoffice asks another: an operation is
// declared once, served by its app with Handle and called with Call. A call goes
// over the caller's own sidecar, so nobody knows anybody's address.
//
// The wire form, for programs in any language:
//
//	POST /v1.0/invoke/<app>/method/<method>          to the own sidecar
//	{"messageId": "...", "timestamp": "...", "data": {...}}
//
//	200 {"messageId": "...", "data": {...}}           done
//	200 {"messageId": "...", "error": {"code": "conflict", "reason": "booking.sold_out",
//	     "message": "...", "fields": [{"field", "code", "message"}], "retryAfter": 3}}
//
// A refusal is a successful call: circuit breakers and retries of the sidecar
// count every status outside 200-399 as a failure, and a sold-out rush must not
// open one. Another status with the same envelope means that the app itself
// failed: 500 internal, 503 unavailable, 504 timeout. retryAfter is in seconds.
//
// What several callers ask for at once may go in one request: data is a list then,
// and so is its answer, of {"data": {...}} or {"error": {...}} for each (CallEach).
//
// Requests are decoded strictly and answers tolerantly: an app may answer fields
// that its callers do not know yet, so the side that answers is updated first.
package rpc

import "time"

// Op declares one operation: which app serves it, under which name, and how
// long it may take on both sides.
type Op[Req, Res any] struct {
	App     string
	Method  string // the subject of the diagrams, "booking.create"
	Timeout time.Duration
}

// Nothing is the request or the answer of an operation that has none.
type Nothing struct{}
