package event

// Waiting is how many calls about an event's seats wait for the next round.
func (s *Service) Waiting(eventID string) int { return s.batches.Queued(eventID) }
