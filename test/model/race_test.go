//go:build race

package model_test

// The race detector finds little here, because the scheduler runs one actor at a time.
// It also slows the search by a factor of seven, so only a few schedules run under it.
const (
	defaultRuns          = 200
	defaultInterruptions = 0
)
