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
//	session:<sessionId>  "v:<version of the user>:<until>:<seal>:<JSON of authapi.Session>", for at most 60 s
//	                     "l:<lease>", for 5 s
//	                     "t", a tombstone: the session has ended for good; for 60 s
//	user:<userId>        "v:<version>:<until>:<seal>:<JSON of authapi.User>", for 3600 s
//	                     "l:<lease>", for 5 s
//
// # Seals
//
// Write access to Redis must not give a client more than misses. The seal of a value is an
// HMAC-SHA-256 over its Redis key, its version, the time until which it counts (in
// milliseconds since 1970) and its JSON. Its key is derived with HKDF (RFC 5869) from a
// secret that only the gateway and auth have. A value therefore cannot be invented, changed,
// or copied to another session or user. A value that was replaced can be written again, but
// counts only until its time (plus 30 s, because clocks differ).
//
// Tombstones and leases are not sealed. A forged tombstone makes a session invalid as long
// as it is there, and a forged lease prevents a fill.
//
// A value with a wrong seal counts as a miss. After the secret was replaced, all values
// are misses once: each costs one call of auth.session.check, and no client notices.
// Programs with different secrets work too, but replace each other's values, so almost
// every request is a miss until all of them have the same secret.
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
