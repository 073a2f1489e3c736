// Package daprcache keeps copies of events in a state store of Dapr.
package daprcache

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/dapr/go-sdk/client"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
)

// timeout limits each call to the sidecar, because a request must not wait long for a copy.
const timeout = 200 * time.Millisecond

// Cache implements event.Cache. It is safe for concurrent use.
type Cache struct {
	dapr  client.Client
	store string
}

var _ event.Cache = (*Cache)(nil)

// New returns a Cache in the state store component with the given name.
func New(dapr client.Client, store string) *Cache { return &Cache{dapr: dapr, store: store} }

// PutEvent implements event.Cache. The store needs a TTL of whole seconds, so PutEvent
// rounds ttl down.
func (c *Cache) PutEvent(ctx context.Context, e eventapi.Versioned, ttl time.Duration) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", e.Event.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	seconds := strconv.Itoa(int(ttl.Seconds()))
	if err := c.dapr.SaveState(ctx, c.store, key(e.Event.ID), data, map[string]string{"ttlInSeconds": seconds}); err != nil {
		return fmt.Errorf("cache event %s: %w", e.Event.ID, err)
	}
	return nil
}

// GetEvent implements event.Cache.
func (c *Cache) GetEvent(ctx context.Context, id string) (eventapi.Versioned, error) {
	var e eventapi.Versioned
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	item, err := c.dapr.GetState(ctx, c.store, key(id), nil)
	switch {
	case err != nil:
		return e, fmt.Errorf("read cached event %s: %w", id, err)
	case len(item.Value) == 0:
		return e, event.ErrNoEvent
	}
	if err := json.Unmarshal(item.Value, &e); err != nil {
		return e, fmt.Errorf("decode cached event %s: %w", id, err)
	}
	return e, nil
}

// DropEvent implements event.Cache.
func (c *Cache) DropEvent(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.dapr.DeleteState(ctx, c.store, key(id), nil); err != nil {
		return fmt.Errorf("drop cached event %s: %w", id, err)
	}
	return nil
}

func key(id string) string { return "event:" + id }
