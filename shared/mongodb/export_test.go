package mongodb

import "time"

// IsApplied is isApplied, for tests.
var IsApplied = isApplied

// SetTimeout replaces the timeout of the calls of collections that c returns afterwards.
func (c *Client) SetTimeout(d time.Duration) { c.timeout = d }
