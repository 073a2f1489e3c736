package event

// Waiting is how many moves of an event wait for the next round.
func (s *Service) Waiting(eventID string) int {
	s.rounds.mu.Lock()
	defer s.rounds.mu.Unlock()
	return len(s.rounds.waiting[eventID])
}
