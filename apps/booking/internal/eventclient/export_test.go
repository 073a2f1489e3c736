package eventclient

// Queued returns the number of reserves of an event that wait for the running batch.
func (s *Seats) Queued(eventID string) int { return s.batches.Queued(eventID) }
