// Package auth implements the rules for accounts, passwords and sessions. Stores, the
// sidecar and the wire are adapters behind the ports in ports.go.
//
// # Accounts
//
// An account has one normalised e-mail address, and each address belongs to at
// most one account. Every change of an account raises its version; every change of
// its password also raises its password version.
//
// # Passwords
//
// Passwords are hashed with Argon2id (RFC 9106) and stored in PHC string format.
// The parameters follow the OWASP Password Storage Cheat Sheet. If a stored hash has
// other parameters, the next log-in replaces it. A bounded queue in front of the
// hasher keeps log-ins from exhausting the machine: when it is full, requests are
// refused with a Retry-After. Instead of composition rules there is a blocklist of
// common passwords, as NIST SP 800-63B section 5.1.1.2 recommends.
//
// # Session families
//
// A log-in creates a [Family]. Refreshing replaces the family's current [Session]
// with a successor, and only the current session is live. All families of a user
// form one record, [UserSessions], which is updated only by compare-and-set. Ending
// one session and starting the next is therefore one atomic step.
//
// Refresh tokens rotate, with reuse detection as in the OAuth 2.0 Security Best
// Current Practice (RFC 9700 section 4.14.2). A refresh token that was replaced and
// is used again shows that two parties hold it. It is unknown which of them is the
// thief, so the whole family ends. One exception keeps honest clients working: for
// ten seconds after a rotation, the token that was just replaced returns the same
// successor again. A client may therefore repeat a refresh whose response was lost,
// and two tabs may refresh at once:
//
//	t=0s   refresh(R1) -> R2
//	t=4s   refresh(R1) -> R2   replay within the grace period
//	t=15s  refresh(R1)         reuse: the family ends, and R2 is invalid from now on
//
// No token is stored. A replay signs the successor's ids and times, which are in the
// record, again. The result is the same bytes, because Ed25519 signatures are
// deterministic (RFC 8032).
//
// A session ends SessionTTL after the log-in or the last refresh, and no family
// outlives [MaxFamilyAge]. A password change ends all families. It takes effect even
// before their record is updated, because every reader compares the record's password
// version with the account's.
//
// # Lockout
//
// An attempt is counted before its password is verified, and is taken back if the
// password was correct. Parallel guesses therefore gain nothing. After five failures
// from one client address, that address is locked out of the account for one minute;
// each further failure doubles the time, up to fifteen minutes. An IPv6 address counts as
// its /64, all of which one client usually has.
//
// Guesses from many addresses never lock an account, because then an attacker could lock
// its owner out. Instead, from twenty failures within fifteen minutes on, the attempts
// from all addresses that never logged in to the account take turns: one is under way at a
// time, it is delayed by up to a second, and another one waits up to two seconds for its
// turn and is then refused. Guesses from any number of addresses therefore come one in a
// second. Addresses that are known to the account (the last twenty from which it was used
// within ninety days) are not affected. Redis holds the failures, the known addresses and
// the turns. While it is unreachable, each process counts for itself, and knows the
// addresses that have logged in through it.
//
// A log-in to an account that does not exist is
// counted, hashed and refused exactly like one to an account that does: neither the
// response nor its timing reveals which e-mail addresses are registered.
//
// Counters and logs contain keyed hashes of e-mail addresses and client addresses
// ([Pseudonyms]) instead of the addresses. No client takes more than a quarter of the
// queue of the hasher.
//
// # Cache
//
// The gateway reads sessions and users from a cache. The cache is an optimisation:
// losing it costs time, never correctness. Two techniques keep it from showing old
// state. A miss hands out a lease, and a value is stored only under a lease that is
// still valid (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013); a change
// invalidates the lease, so that a slow reader cannot store what it read before the
// change. A session that ends leaves a tombstone, which no fill replaces.
package auth
