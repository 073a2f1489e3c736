// Package commands checks the commands that a store sends to MongoDB.
package commands

import (
	"context"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/event"
)

// Check returns a monitor that fails the test in these cases:
//
//   - The store sends a command that docs/mongodb.md does not list for it. allowed has these;
//     those that the driver sends for itself are always allowed.
//   - A read may return data that the failure of a server undoes: its read concern is not
//     "majority".
//   - A write may be undone after it was acknowledged: its write concern is not "majority".
func Check(t testing.TB, allowed ...string) *event.CommandMonitor {
	allowed = append(allowed, "ping", "endSessions", "killCursors", "getMore")
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if !slices.Contains(allowed, e.CommandName) {
			t.Errorf("got command %s, want only %v", e.CommandName, allowed)
		}
		switch e.CommandName {
		case "find", "aggregate":
			if level, _ := e.Command.Lookup("readConcern", "level").StringValueOK(); level != "majority" {
				t.Errorf("%s: got read concern %q, want majority", e.Command, level)
			}
		case "insert", "update", "delete":
			if w, _ := e.Command.Lookup("writeConcern", "w").StringValueOK(); w != "majority" {
				t.Errorf("%s: got write concern %q, want majority", e.Command, w)
			}
		}
	}}
}
