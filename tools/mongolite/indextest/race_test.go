//go:build race

package indextest_test

// defaultCases is lower with the race detector, which makes each case six times
// as slow.
const defaultCases = 2000
