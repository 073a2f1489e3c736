package event

import "sync"

// maxCachedEvents limits the events whose finished steps a process remembers. When the
// limit is reached, the process forgets all of them.
const maxCachedEvents = 4096

// stepCache remembers the steps that this process has finished, so that the next write of
// the seats can remove their marks without reading the holds. A step that is not in the
// cache is finished again, which costs time but is harmless.
type stepCache struct {
	mu      sync.Mutex
	byEvent map[string]map[string]HoldState // the latest finished state of each hold
}

// add remembers that the step of a mark is finished.
func (c *stepCache) add(mark Hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byEvent == nil || len(c.byEvent) >= maxCachedEvents {
		c.byEvent = map[string]map[string]HoldState{}
	}
	steps := c.byEvent[mark.EventID]
	if steps == nil {
		steps = map[string]HoldState{}
		c.byEvent[mark.EventID] = steps
	}
	if steps[mark.ID].order() < mark.State.order() {
		steps[mark.ID] = mark.State
	}
}

// has reports whether the cache has the step of a mark.
func (c *stepCache) has(eventID string, mark Hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byEvent[eventID][mark.ID] == mark.State
}

// finishedMarks returns the hold ids of the event's marks whose steps the cache has. It
// removes from the cache the steps for which the event has no mark.
func (c *stepCache) finishedMarks(e Event) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id, state := range c.byEvent[e.ID] {
		switch mark, ok := e.Seats.Marks[id]; {
		case ok && mark.State == state:
			ids = append(ids, id)
		case !ok:
			// Either the mark has been removed, or e was read before the mark was set.
			// In the second case, the write that is based on e is stale.
			delete(c.byEvent[e.ID], id)
		}
	}
	return ids
}

// forget removes the steps of marks that have been removed from the event.
func (c *stepCache) forget(eventID string, holdIDs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	steps := c.byEvent[eventID]
	for _, id := range holdIDs {
		delete(steps, id)
	}
	if len(steps) == 0 {
		delete(c.byEvent, eventID)
	}
}
