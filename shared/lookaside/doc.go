// Package lookaside keeps copies of sessions and users in Redis, where the
// gateway looks on every request. They are never the record: Redis may be away,
// slow or empty at any time, and then auth is asked.
//
// A key holds one of three things:
//
//	{...}      a copy: the JSON of a value
//	L<nonce>   a lease: somebody is fetching the value
//	X          a tombstone: the value was changed or ended
//
// Whoever finds nothing leaves a lease, fetches the value, and puts it in the
// place of the own lease only. Whoever changes the value writes the record first
// and then a tombstone over whatever is there, until Redis took it. So a fetch
// that began before the change cannot put the old value there after it, however
// slow it is, and a Redis that was emptied cannot either.
//
// A session's tombstone is final, since session ids are never used again. A
// user's says only to ask auth.
package lookaside
