//go:build !race

package indextest_test

// defaultCases is the default number of random cases.
const defaultCases = 10000
