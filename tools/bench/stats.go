package main

import (
	"math"
	"slices"
	"time"
)

// spread summarises the values of several rounds.
type spread struct{ median, low, high float64 }

// spreadOf returns the spread of values. Without values, all its fields are NaN.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	return spread{median(sorted), sorted[0], sorted[len(sorted)-1]}
}

// median returns the median of sorted values: the mean of the two middle ones if their
// number is even.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// ratios divides the value of each round by another rung's value in the same round. A
// temporary slowdown of the machine affects both.
func ratios(of, to []float64) []float64 {
	quotients := make([]float64, min(len(of), len(to)))
	for i := range quotients {
		quotients[i] = of[i] / to[i]
	}
	return quotients
}

// percentile returns the smallest value that at least the given percentage of sorted
// values do not exceed (the nearest-rank method). Without values it returns 0.
func percentile(sorted []time.Duration, percent float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
