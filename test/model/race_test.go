//go:build race

package model_test

// The model goes on one process at a time, so that the race detector has little to
// find and makes it seven times as slow: with it a few schedules are enough.
const (
	defaultRuns          = 200
	defaultInterruptions = 0
)
