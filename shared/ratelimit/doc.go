// Package ratelimit limits how many requests a user or a client address may make
// in a period.
//
// The algorithm is the generic cell rate algorithm (GCRA, ITU-T Recommendation
// I.371, annex A). A [Limit] is a bucket of Requests tokens that refills evenly
// within Period. Instead of a token count, one number is stored for each bucket:
// the theoretical arrival time, at which the bucket is full again. A request
// moves that time by one step, Period divided by Requests. The request is refused
// if the time would then lie more than Period in the future. A client may
// therefore send Requests at once, and afterwards one request for each step.
//
// The counters live in Redis, shared by all gateways, under the key
//
//	limit:<bucket>:<subject>
//
// as microseconds of the clock of Redis. Each expires when its bucket is full.
// [Script] is the algorithm as a Lua function. A caller appends statements of its
// own to it, so that counting a request costs no round trip beside the one that
// the caller needs anyway: package sessioncache looks up the request's session in
// the same script. [Append] adds the keys and arguments that the function reads,
// and [Parse] reads what it returns.
//
// [Local] is the same algorithm in this process, for the time during which Redis
// is unreachable.
package ratelimit
