package booking

// KeylessRetention is keylessRetention.
const KeylessRetention = keylessRetention

// CreatesUnderWay returns the number of users with creates that the limit of pending
// tickets counts.
func (s *Service) CreatesUnderWay() int {
	s.pending.mu.Lock()
	defer s.pending.mu.Unlock()
	return len(s.pending.creates)
}
