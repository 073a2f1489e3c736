//go:build race

package indextest_test

// The answers are what is tested, and they do not depend on the race detector,
// which makes them six times as slow: with it fewer cases are enough.
const defaultCases = 2000
