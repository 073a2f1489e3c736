package main

import (
	"math"
	"slices"
	"time"
)

// spread is what the rounds of a rung came to: the one in the middle, and the
// lowest and the highest.
type spread struct{ median, low, high float64 }

// spreadOf returns the spread of some values, all NaN for none.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	return spread{median(sorted), sorted[0], sorted[len(sorted)-1]}
}

// median is the middle of sorted values, between the two middle ones if their
// number is even.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// ratios divides each round of one rung by the same round of another, so that
// what slows the machine down for a while slows both.
func ratios(of, to []float64) []float64 {
	quotients := make([]float64, min(len(of), len(to)))
	for i := range quotients {
		quotients[i] = of[i] / to[i]
	}
	return quotients
}

// percentile is the smallest value that so many percent are not above, 0 for none.
func percentile(sorted []time.Duration, percent float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
