package event

import "time"

const (
	// eventPurgeAfter is how long a deleted event is kept at least. It must exceed
	// holdPurgeAfter, so that no process that was suspended still works on the event.
	// Until then, a repeated CreateEvent with the same id is refused.
	eventPurgeAfter = 7 * 24 * time.Hour
	// limitPurgeAfter is how long a limit without entries is kept at least.
	limitPurgeAfter = 24 * time.Hour
)

// PurgeAt returns the time from which the store may drop the event, provided that all its
// facts have been published. It reports false if the event must be kept.
func (e Event) PurgeAt() (time.Time, bool) {
	return e.UpdatedAt.Add(eventPurgeAfter), e.Status == Deleted
}
