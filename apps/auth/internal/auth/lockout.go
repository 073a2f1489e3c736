package auth

import "time"

// Lockout rules, for implementations of Attempts.
const (
	// PairFailureTTL is how long the failures of an account from one address are
	// remembered. It starts at the last failure or, if that failure caused a lock, at
	// the end of the lock.
	PairFailureTTL = time.Hour
	// AccountFailureTTL is the period over which the failures of an account from all
	// addresses are counted. It starts with the first of them.
	AccountFailureTTL = 15 * time.Minute

	lockThreshold = 5 // failures of an account from one address that cause the first lock
	minLock       = time.Minute
	maxLock       = 15 * time.Minute
	lockSteps     = 5 // different lock durations: 1, 2, 4, 8 and 15 minutes

	delayThreshold = 20 // failures of an account that do not delay its log-ins yet
	delayStep      = 100 * time.Millisecond
	maxDelay       = 2 * time.Second
)

// LockDuration returns how long the n-th consecutive failure locks an account for
// the address that it came from. It is zero below five failures, then one minute,
// and doubles with each further failure up to fifteen minutes.
func LockDuration(n int) time.Duration {
	if n < lockThreshold {
		return 0
	}
	return min(maxLock, minLock<<min(n-lockThreshold, lockSteps))
}

// LockDurations returns LockDuration(1), LockDuration(2) and so on, up to the first
// that equals the maximum. The last one applies to all later failures too.
func LockDurations() []time.Duration {
	locks := make([]time.Duration, lockThreshold+lockSteps-1)
	for i := range locks {
		locks[i] = LockDuration(i + 1)
	}
	return locks
}

// LoginDelay returns how long a log-in is delayed after n recent failures of its
// account from all addresses. A delay, unlike a lock, does not let an attacker keep
// the owner out.
func LoginDelay(n int) time.Duration {
	return min(maxDelay, time.Duration(max(0, n-delayThreshold))*delayStep)
}
