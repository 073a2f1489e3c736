package auth

import "time"

// What counts of attempts do, for whoever implements Attempts.
const (
	// FailuresFor is how long the failures of an account and address are
	// remembered after the last one, or after the lock that it brought.
	FailuresFor = time.Hour
	// AccountFailuresFor is how long those of an account are added up.
	AccountFailuresFor = 15 * time.Minute

	freeFailures   = 5 // of an account and address; the last of them locks
	firstLock      = time.Minute
	longestLock    = 15 * time.Minute
	calmFailures   = 20 // of an account, from wherever
	delayStep      = 100 * time.Millisecond
	longestDelay   = 2 * time.Second
	locksToLongest = 5 // 1, 2, 4, 8, 15 minutes
)

// LockAfter returns how long an account is locked for an address by its n-th
// failure in a row: not at all, then a minute, then twice as long each time, at
// most fifteen minutes.
func LockAfter(n int) time.Duration {
	if n < freeFailures {
		return 0
	}
	return min(longestLock, firstLock<<min(n-freeFailures, locksToLongest))
}

// Locks returns LockAfter of each failure from the first on, up to the one from
// which on it stays the same.
func Locks() []time.Duration {
	locks := make([]time.Duration, freeFailures+locksToLongest-1)
	for i := range locks {
		locks[i] = LockAfter(i + 1)
	}
	return locks
}

// DelayAfter returns how long a log-in waits at an account that n others failed
// at. It is a delay and no lock, so that nobody can lock another one out.
func DelayAfter(n int) time.Duration {
	return min(longestDelay, time.Duration(max(0, n-calmFailures))*delayStep)
}
