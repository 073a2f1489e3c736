package main

import (
	"context"
	"strings"
)

// result is all rounds of a rung.
type result struct {
	rung
	blocks []block
}

// climb measures the ladder in rounds and prints the tables.
func (b *bench) climb(ctx context.Context) error {
	var results []*result
	for _, r := range b.ladder() {
		if r.name == hopRung || chosen(r.name, b.rungs) {
			results = append(results, &result{rung: r})
		}
	}
	callers := newCallers(b.clients)
	var idle []usage
	for round := range b.rounds {
		quiet, err := b.idle(ctx)
		if err != nil {
			return err
		}
		idle = append(idle, quiet)
		for _, r := range results {
			done, err := b.block(ctx, r.rung, callers, limit{time: b.settings.block})
			if err != nil {
				return err
			}
			r.blocks = append(r.blocks, done)
			b.say("round %d of %d  %-24s %8.0f/s\n", round+1, b.rounds, r.name, done.rate())
		}
	}
	b.report(results, average(idle))
	return nil
}

// chosen reports whether a name has one of the words in it, which are all names
// when there is none.
func chosen(name, words string) bool {
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

// rates are the rounds'.
func (r *result) rates() []float64 {
	var all []float64
	for _, b := range r.blocks {
		all = append(all, b.rate())
	}
	return all
}

// cost is what a request took of the servers and of the processors, the idle
// stack's own work not counted.
func (r *result) cost(idle usage) usage {
	total := usage{}
	requests := 0
	for _, b := range r.blocks {
		total.add(b.spent.less(idle, (b.took + b.settled).Seconds()))
		requests += b.requests
	}
	return total.over(float64(requests))
}
