// Package rpc lets one program of Boxoffice call operations of another. An operation is
// declared once as an Op, served by its app with Handle, and called with Call. Calls go
// through the caller's own sidecar, which finds the app, so no program needs the address
// of another.
//
// The wire format, for programs in any language:
//
//	POST /v1.0/invoke/<app>/method/<method>          to the caller's sidecar
//	{"messageId": "...", "timestamp": "...", "data": {...}}
//
//	200 {"messageId": "...", "data": {...}}           success
//	200 {"messageId": "...", "error": {"code": "conflict", "reason": "booking.sold_out",
//	     "message": "...", "fields": [{"field", "code", "message"}], "retryAfter": 3}}
//
// A refusal is sent with status 200, because the sidecar's circuit breakers and retries
// count every status outside 200-399 as a failure, and a sold-out event must not open a
// breaker. Another status with the same envelope means that the app failed: 500 internal,
// 503 unavailable, 504 timeout. retryAfter is in seconds.
//
// An app that is too busy also sends status 200, with the code unavailable and
// "overloaded": true. A caller that returns the error to its own caller sends it in the
// same form, so the sidecars on the way neither retry the call nor count it as a failure.
//
// One request may carry several independent requests. Its data is then a list, and so is
// the data of the reply, with {"data": {...}} or {"error": {...}} for each; see CallEach.
//
// Requests are decoded strictly and replies tolerantly. An app may therefore add fields
// to its replies at any time, but must be deployed before a caller that sends a new
// request field.
package rpc

import "time"

// Op declares an operation: the app that serves it, its name, and how long it may take.
// The timeout applies on both sides.
type Op[Req, Res any] struct {
	App     string
	Method  string // as the sequence diagrams name it, such as "booking.create"
	Timeout time.Duration
}

// Nothing is the request or the result of an operation that has none.
type Nothing struct{}
