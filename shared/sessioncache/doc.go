// Package sessioncache caches live sessions and their users in Redis. Auth writes the
// cache, and the gateway reads it.
//
// The cache is never the source of truth. Redis may lose any entry at any time, or be
// unreachable. The gateway then calls auth.session.check.
//
// The gateway calls [Cache.Lookup] once for each request. In one round trip, a script
// counts the request against its rate limits (package ratelimit) and reads its session
// and user. If either is missing, the script writes a lease in its place, and the
// gateway passes the lease to auth.session.check. Auth reads its records, responds,
// and fills the cache under that lease. Only auth writes values and tombstones, with
// [Cache.Fill], [Cache.FillUser], [Cache.End] and [Cache.DropUser].
//
// # Keys
//
//	session:<sessionId>  "v:<version of the user>:<JSON of authapi.Session>", for at most 60 s
//	                     "l:<lease>", for 5 s
//	                     "t", a tombstone: the session has ended for good; for 60 s
//	user:<userId>        "v:<version>:<JSON of authapi.User>", for 3600 s
//	                     "l:<lease>", for 5 s
//
// # Why a stale read never replaces a newer state
//
// The technique is leases (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013,
// section 3.2.1). A fill replaces only its own lease, or a user with an older version.
// Once a record has changed, End overwrites the session's value or lease with a
// tombstone, and DropUser deletes the user's value or lease. A fill with a record that
// was read before the change then finds no lease and writes nothing. The same holds
// after Redis was flushed, because that deletes the leases too. For example:
//
//	gateway                      auth                          Redis
//	Lookup: session missing                                    session:s1 = l:1
//	                             check reads record: live
//	                             log-out changes record
//	                             End                           session:s1 = t
//	                             Fill under lease 1            unchanged: t is not l:1
//
// A session that has ended stays ended, so its tombstone tells the gateway everything.
// A changed user must be read again, so DropUser leaves no tombstone.
//
// If End or DropUser never reaches Redis, for example because the process died, the
// change becomes visible after at most [SessionStale]. By then the session's value has
// expired, and the gateway calls auth.session.check. The session's next value contains
// the user's version at that time, and Lookup ignores a cached user with an older
// version.
package sessioncache
