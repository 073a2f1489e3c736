//go:build race

package model_test

// The scheduler runs one actor at a time, so the race detector finds little here
// and makes the search seven times as slow. A few schedules are enough with it.
const (
	defaultRuns          = 200
	defaultInterruptions = 0
)
