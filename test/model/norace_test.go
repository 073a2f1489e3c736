//go:build !race

package model_test

const (
	defaultRuns          = 4000
	defaultInterruptions = 1
)
