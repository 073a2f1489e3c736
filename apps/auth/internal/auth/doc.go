// Package auth holds the rules of accounts, passwords and sessions. It knows no
// store, no sidecar and no wire: those are adapters behind the ports of ports.go.
//
// # Accounts
//
// An account has one normalised e-mail address, and an address one account. A
// password is kept as an argon2id hash only. Each change of an account raises its
// version, each change of its password the password's version too.
//
// # Sessions
//
// All log-ins of a user are one Entry, changed by compare-and-set alone, so that
// "end the old session, make the new one" cannot half happen. A log-in and its
// refreshes are a Family; the family's current Session is the only live one. A
// refresh replaces it: within ten seconds the replaced session's token gets the
// same successor again (a client's retry, a parallel tab), later it is taken for
// stolen and the family ends. No token is stored: a successor's id and times are,
// and from these the same bytes are signed again.
//
// A session ends SessionTTL after the log-in or the last refresh, and no family
// outlives MaxFamilyAge. A family of an older password is dead, whether or not
// somebody got to remove it: whoever reads it compares the versions.
//
// # Guessing
//
// An attempt counts before the password is looked at and is taken back when it
// was right, so that parallel guesses gain nothing. Five failures of one address
// at one account lock that pair, for a minute and then doubling to fifteen; many
// failures at one account from wherever slow its log-ins down, but lock nobody
// out. An account that does not exist counts, costs and answers the same.
package auth
