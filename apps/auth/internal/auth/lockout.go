package auth

import "time"

// Rules for implementations of Attempts.
const (
	// PairFailureTTL is how long the failures of an account from one address are
	// remembered. It starts at the last failure or, if that failure caused a lock, at
	// the end of the lock.
	PairFailureTTL = time.Hour
	// AccountFailureTTL is the time for which a failure of an account counts, whatever its
	// address.
	AccountFailureTTL = 15 * time.Minute
	// MaxAccountFailures limits the failures of an account that are remembered. Older ones
	// are forgotten. It is enough for the longest delay.
	MaxAccountFailures = 40

	// ThrottleThreshold is the number of failures of an account, from all addresses, from
	// which on unknown addresses take turns: only one attempt from such an address is
	// under way at a time.
	ThrottleThreshold = 20
	// TurnTTL is the time after which a turn that was not given back ends. It is longer
	// than the timeout of a log-in.
	TurnTTL = 15 * time.Second

	// KnownAddressTTL is how long an address is known to an account after its last
	// successful log-in. An account has at most MaxKnownAddresses; the one whose log-in is
	// longest ago is forgotten first.
	KnownAddressTTL   = 90 * 24 * time.Hour
	MaxKnownAddresses = 20

	lockThreshold = 5 // failures of an account from one address that cause the first lock
	minLock       = time.Minute
	maxLock       = 15 * time.Minute
	lockSteps     = 5 // different lock durations: 1, 2, 4, 8 and 15 minutes

	delayStep = 100 * time.Millisecond
	maxDelay  = time.Second

	// turnWait limits how long an attempt waits for its turn, and turnPoll is the time
	// between its tries. turnWait is longer than maxDelay, so that one attempt at least
	// gets the turn of the one before it.
	turnWait       = 2 * time.Second
	turnPoll       = 100 * time.Millisecond
	turnRetryAfter = 5 * time.Second
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

// LoginDelay returns how long a log-in from an unknown address is delayed, during its turn,
// after n recent failures of its account from all addresses. The delay bounds the rate of
// guesses from many addresses: to one in a second, when it is longest. It is never a lock,
// which would let an attacker keep the owner out.
func LoginDelay(n int) time.Duration {
	return min(maxDelay, time.Duration(max(0, n-ThrottleThreshold))*delayStep)
}
