package ratelimit

// Len returns the number of counters in memory.
func (l *Local) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.newer) + len(l.older)
}
