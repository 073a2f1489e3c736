// Package sessioncache caches live sessions and their users in Redis, for the
// gateway to read and for auth to write.
//
// The cache is never the source of truth. Redis may lose any of it at any time, or
// be unreachable; auth.session.check then gives the answer.
//
// The gateway calls [Cache.Lookup] once for each request. One script, in one round
// trip, counts the request against its rate limits (package ratelimit) and reads
// its session and user. If either is missing, the script leaves a lease in its
// place, and the gateway passes the lease to auth.session.check. Auth reads its
// records, answers, and fills the cache under that lease. Only auth writes values
// and tombstones: [Cache.Fill], [Cache.FillUser], [Cache.End], [Cache.DropUser].
//
// # Keys
//
//	session:<sessionId>  "v:<version of the user>:<JSON of authapi.Session>", kept for 60 s
//	                     "l:<lease>", kept for 5 s
//	                     "t", a tombstone: the session has ended for good; kept for 60 s
//	user:<userId>        "v:<version>:<JSON of authapi.User>", kept for 3600 s
//	                     "l:<lease>", kept for 5 s
//
// # Why a stale read never replaces a newer state
//
// A fill replaces only its own lease and a user of an older version (leases:
// Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, section 3.2.1). A record
// that was read before a change can therefore not be written after it. Once the
// record has changed, End overwrites the session's value or lease with a tombstone,
// and DropUser deletes the user's value or lease. A flush of Redis deletes leases
// too. For example:
//
//	gateway                      auth                          Redis
//	Lookup: session missing                                    session:s1 = l:1
//	                             check reads the record: live
//	                             log-out writes the record
//	                             End                           session:s1 = t
//	                             Fill under lease 1            unchanged: t is not l:1
//
// A session that has ended stays ended, so its tombstone is an answer. A changed
// user must be read again, so DropUser leaves nothing.
//
// A change whose End or DropUser never reached Redis, for example because the
// process died, becomes visible after at most 60 s. The value of a session names
// the version of the user that was read with it, and Lookup ignores a cached user
// with an older version.
package sessioncache
