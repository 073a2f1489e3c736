//go:build !race

package model_test

const (
	defaultRuns          = 2000
	defaultInterruptions = 1
)
