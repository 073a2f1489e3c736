package event

import (
	"maps"
	"sync"
)

// logCache remembers the log entries that this process has logged, so that the next write
// of their event can remove them. An entry that is not in the cache is logged again, which
// costs time but is harmless. The entries of one write are logged together, so the cache
// consists of versions.
type logCache struct {
	mu      sync.Mutex
	byEvent map[string]map[int64]bool
}

// add remembers that entries of an event are in the log. If the cache has maxCachedEvents
// events, it forgets all of them first.
func (c *logCache) add(eventID string, entries []Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byEvent == nil || len(c.byEvent) >= maxCachedEvents {
		c.byEvent = map[string]map[int64]bool{}
	}
	versions := c.byEvent[eventID]
	if versions == nil {
		versions = map[int64]bool{}
		c.byEvent[eventID] = versions
	}
	for _, e := range entries {
		versions[e.Version] = true
	}
}

// has reports whether the cache has an entry of an event.
func (c *logCache) has(eventID string, e Entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byEvent[eventID][e.Version]
}

// missing returns the entries of the event that the cache does not have.
func (c *logCache) missing(e Event) []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []Entry
	for _, entry := range e.Seats.Entries {
		if !c.byEvent[e.ID][entry.Version] {
			missing = append(missing, entry)
		}
	}
	return missing
}

// keep removes from the cache the versions whose entries an event no longer has: those up
// to the version through that none of its entries has.
func (c *logCache) keep(eventID string, entries []Entry, through int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	present := map[int64]bool{}
	for _, e := range entries {
		present[e.Version] = true
	}
	logged := c.byEvent[eventID]
	maps.DeleteFunc(logged, func(version int64, _ bool) bool { return version <= through && !present[version] })
	if len(logged) == 0 {
		delete(c.byEvent, eventID)
	}
}
