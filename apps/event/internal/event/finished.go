package event

import "sync"

// maxRemembered is for how many events steps are remembered at most.
const maxRemembered = 4096

// finished remembers which steps this process has seen finished, so that their
// marks can go with the next write without asking. To forget costs time, never
// correctness: a mark that is not remembered is finished again.
type finished struct {
	mu      sync.Mutex
	byEvent map[string]map[string]HoldState
}

// add remembers the step of a mark.
func (f *finished) add(mark Hold) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byEvent == nil || len(f.byEvent) >= maxRemembered {
		f.byEvent = map[string]map[string]HoldState{}
	}
	steps := f.byEvent[mark.EventID]
	if steps == nil {
		steps = map[string]HoldState{}
		f.byEvent[mark.EventID] = steps
	}
	if steps[mark.ID].order() < mark.State.order() {
		steps[mark.ID] = mark.State
	}
}

// has reports whether the very step of a mark is finished.
func (f *finished) has(eventID string, mark Hold) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byEvent[eventID][mark.ID] == mark.State
}

// among returns the marks of an event whose steps are finished, and forgets steps
// that the event has no mark of.
func (f *finished) among(e Event) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, state := range f.byEvent[e.ID] {
		switch mark, marked := e.Seats.Marks[id]; {
		case marked && mark.State == state:
			ids = append(ids, id)
		case !marked:
			// Either the mark is gone or this event was read before it was set; then
			// the write of it misses.
			delete(f.byEvent[e.ID], id)
		}
	}
	return ids
}

// drop forgets steps whose marks are gone.
func (f *finished) drop(eventID string, ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	steps := f.byEvent[eventID]
	for _, id := range ids {
		delete(steps, id)
	}
	if len(steps) == 0 {
		delete(f.byEvent, eventID)
	}
}
