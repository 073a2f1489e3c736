package main

import (
	"context"
	"time"
)

const (
	// growthBlock is the number of bookings before the first sample. It is also the
	// number of bookings in each block of a sample.
	growthBlock = 200
	// fillChunk is the number of bookings that are created at a time between the
	// samples. It is smaller than the relay's queue, so that no fact waits for a sweep.
	fillChunk = 2000
)

// measureGrowth measures the cost of a booking after 200 and after many bookings of one
// event. It measures the Dapr hop before each block of bookings and expresses the cost
// of a booking in hops, so that the result does not depend on the speed of the machine
// at that time.
func (b *bench) measureGrowth(ctx context.Context) error {
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
	idle, err := b.measureIdle(ctx)
	if err != nil {
		return err
	}
	created := 0
	fill := func(total int) error {
		for created < total {
			done, err := b.measureBlock(ctx, hot, callers, limit{requests: min(fillChunk, total-created)})
			if err != nil {
				return err
			}
			created += done.requests
			b.printf("%6d bookings  %6.0f/s\n", created, done.rate())
		}
		return nil
	}
	sample := func() (bookings, hops *result, err error) {
		bookings, hops = &result{rung: hot}, &result{rung: hop}
		for range b.rounds {
			reference, err := b.measureBlock(ctx, hop, callers, limit{time: b.block / 2})
			if err != nil {
				return nil, nil, err
			}
			done, err := b.measureBlock(ctx, hot, callers, limit{requests: growthBlock})
			if err != nil {
				return nil, nil, err
			}
			created += done.requests
			hops.blocks, bookings.blocks = append(hops.blocks, reference), append(bookings.blocks, done)
			b.printf("%6d bookings  %6.0f/s  (%.0f hops/s)\n", created, done.rate(), reference.rate())
		}
		return bookings, hops, nil
	}
	// The first bookings also warm up: they open connections and grow heaps.
	if err := fill(growthBlock); err != nil {
		return err
	}
	few, fewHops, err := sample()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := fill(b.after); err != nil {
		return err
	}
	b.printf("created in %s\n", time.Since(start).Round(time.Second))
	many, manyHops, err := sample()
	if err != nil {
		return err
	}
	b.reportGrowth(few, fewHops, many, manyHops, idle)
	return nil
}
