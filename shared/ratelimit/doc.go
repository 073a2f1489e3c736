// Package ratelimit limits how many requests a user or a client address may make
// in a period.
//
// The algorithm is the generic cell rate algorithm (GCRA, ITU-T Recommendation
// I.371, annex A). A [Limit] is a token bucket. It holds at most Requests tokens and
// refills evenly within Period. Instead of a token count, each bucket stores one
// number: its theoretical arrival time, at which it is full again. A request moves
// that time forward by one step, which is Period divided by Requests. The request is
// refused if the time would then lie more than Period in the future. A client may
// therefore send Requests requests at once, and then one request per step.
//
// The gateways share their counters in Redis. Each counter is stored under the key
//
//	limit:<bucket>:<subject>
//
// Its value is the theoretical arrival time, in microseconds on the Redis server's
// clock. The key expires when the bucket is full.
//
// [Script] implements the algorithm as a Lua function. A caller appends its own
// statements to the script, so that counting a request needs no extra round trip:
// package sessioncache looks up the request's session in the same script. [Append]
// adds the keys and arguments that the function reads, and [Parse] reads its result.
//
// [Local] implements the same algorithm in memory, for use while Redis is
// unreachable.
package ratelimit
