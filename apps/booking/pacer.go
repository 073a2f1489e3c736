package main

import (
	"context"
	"sync"
	"time"

	"boxoffice/shared/app"
)

// pacer implements booking.Pacer: it spaces pieces of work so that they do not exceed a rate
// over any longer time. Time that was not used does not accumulate.
type pacer struct {
	interval time.Duration // between two items

	mu   sync.Mutex
	free time.Time // when the work so far has used up its time
}

func newPacer(perSecond int) *pacer { return &pacer{interval: time.Second / time.Duration(perSecond)} }

// Wait implements booking.Pacer.
func (p *pacer) Wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(n) * p.interval)
	wait := p.free.Sub(now)
	p.mu.Unlock()
	return app.Clock{}.Sleep(ctx, wait)
}
