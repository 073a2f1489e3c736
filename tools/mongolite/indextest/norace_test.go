//go:build !race

package indextest_test

const defaultCases = 10000
