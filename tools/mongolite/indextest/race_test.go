//go:build race

package indextest_test

// defaultCases is lower with the race detector, which makes a case six times as
// slow. The results do not depend on it.
const defaultCases = 2000
