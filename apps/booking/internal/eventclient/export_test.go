package eventclient

// Waiting is how many reserves of an event wait for those before them.
func (s *Seats) Waiting(eventID string) int { return s.batches.Queued(eventID) }
