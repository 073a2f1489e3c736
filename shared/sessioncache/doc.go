// Package sessioncache is what the gateway and auth keep in Redis about requests:
// how many there were, and whose sessions are live. It is never the truth. Redis
// may forget all of it at any time, or be gone; then auth.session.check tells.
//
// The gateway calls Look once a request, one script and one round trip for the
// limits, the session and the user. What is not known leaves a lease in its
// place, and the gateway hands that to auth.session.check, which answers and has
// the cache filled under the lease. Auth alone writes what is known: Fill, End,
// DropUser.
//
// # Keys
//
//	limit:<bucket>:<subject>   the bucket's theoretical arrival time, in microseconds of Redis's clock
//	session:<sessionId>        "v:<user's version>:<JSON of authapi.Session>", 60 s
//	                           "l:<lease>", 5 s
//	                           "t", 60 s: it is over, and for ever
//	user:<userId>              "v:<version>:<JSON of authapi.User>", 3600 s
//	                           "l:<lease>", 5 s
//
// # Why nothing comes back to life
//
// A fill replaces nothing but its own lease, so what was read before a change
// cannot be written after it: End puts a tombstone over value or lease, and
// DropUser takes the lease away, each after the record was written. (A session
// that is over stays so, hence its tombstone is an answer; a user who changed
// must be asked about, hence nothing is left of him.) A flush takes leases away
// too. A change whose End or DropUser never reached Redis, even one whose process
// died, is seen after 60 s: a session's value names the version of its user that
// was read with it, and an older user in the cache does not count beside it.
package sessioncache
