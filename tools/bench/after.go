package main

import (
	"context"
	"time"
)

const (
	// early is after how many bookings the cost is taken that later ones are
	// compared with, and how many bookings a block has.
	early = 200
	// chunk is how many bookings are made at a time in between: less than what
	// the relay keeps in mind, so that none waits for a sweep.
	chunk = 2000
)

// compare measures what a booking costs after 200 and after many bookings of one
// event. Each block of bookings follows one of the Dapr hop, and what counts is
// how many hops a booking is worth: so a machine that has become slower in
// between does not count.
func (b *bench) compare(ctx context.Context) error {
	var hop, hot rung
	for _, r := range b.ladder() {
		switch r.name {
		case hopRung:
			hop = r
		case hotRung:
			hot = r
		}
	}
	callers := newCallers(b.clients)
	idle, err := b.idle(ctx)
	if err != nil {
		return err
	}
	made := 0
	fill := func(upTo int) error {
		for made < upTo {
			done, err := b.block(ctx, hot, callers, limit{requests: min(chunk, upTo-made)})
			if err != nil {
				return err
			}
			made += done.requests
			b.say("%6d bookings  %6.0f/s\n", made, done.rate())
		}
		return nil
	}
	sample := func() (bookings, hops *result, err error) {
		bookings, hops = &result{rung: hot}, &result{rung: hop}
		for range b.rounds {
			reference, err := b.block(ctx, hop, callers, limit{time: b.settings.block / 2})
			if err != nil {
				return nil, nil, err
			}
			done, err := b.block(ctx, hot, callers, limit{requests: early})
			if err != nil {
				return nil, nil, err
			}
			made += done.requests
			hops.blocks, bookings.blocks = append(hops.blocks, reference), append(bookings.blocks, done)
			b.say("%6d bookings  %6.0f/s  (%.0f hops/s)\n", made, done.rate(), reference.rate())
		}
		return bookings, hops, nil
	}
	// The first bookings also open connections and grow heaps.
	if err := fill(early); err != nil {
		return err
	}
	few, fewHops, err := sample()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := fill(b.after); err != nil {
		return err
	}
	b.say("filled in %s\n", time.Since(began).Round(time.Second))
	many, manyHops, err := sample()
	if err != nil {
		return err
	}
	b.reportGrowth(few, fewHops, many, manyHops, idle)
	return nil
}
