package main

import (
	"context"
	"strings"
)

// result has the blocks of a rung, one for each round.
type result struct {
	rung
	blocks []block
}

// measureLadder measures the selected rungs in rounds and prints the tables.
func (b *bench) measureLadder(ctx context.Context) error {
	var results []*result
	for _, r := range b.ladder() {
		if r.name == hopRung || isSelected(r.name, b.rungs) {
			results = append(results, &result{rung: r})
		}
	}
	callers := newCallers(b.clients)
	var idle []usage
	for round := range b.rounds {
		sample, err := b.measureIdle(ctx)
		if err != nil {
			return err
		}
		idle = append(idle, sample)
		for _, r := range results {
			done, err := b.measureBlock(ctx, r.rung, callers, limit{time: b.block})
			if err != nil {
				return err
			}
			r.blocks = append(r.blocks, done)
			b.printf("round %d of %d  %-24s %8.0f/s\n", round+1, b.rounds, r.name, done.rate())
		}
	}
	b.report(results, average(idle))
	return nil
}

// isSelected reports whether name contains one of the comma-separated words. If words is
// empty, every name is selected.
func isSelected(name, words string) bool {
	if words == "" {
		return true
	}
	for word := range strings.SplitSeq(words, ",") {
		if word != "" && strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// rates returns the requests per second of each round.
func (r *result) rates() []float64 {
	var all []float64
	for _, b := range r.blocks {
		all = append(all, b.rate())
	}
	return all
}

// cost returns the usage of one request: the usage of all rounds, without that of an idle
// stack over the same time, divided by the number of requests.
func (r *result) cost(idle usage) usage {
	total := usage{}
	requests := 0
	for _, b := range r.blocks {
		total.add(b.spent.withoutIdle(idle, (b.took + b.settled).Seconds()))
		requests += b.requests
	}
	return total.dividedBy(float64(requests))
}
