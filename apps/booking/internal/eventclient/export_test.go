package eventclient

// Queued returns the number of calls about an event that wait for the running batch.
func (s *Seats) Queued(eventID string) int {
	return s.reserves.Queued(eventID) + s.releases.Queued(eventID)
}
