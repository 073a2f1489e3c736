package storage

import "sync/atomic"

// progress tracks whether all batches that a reader can have seen are durable.
//
// A batch becomes visible at some time between begin and end. A flush of the log makes
// durable what was visible when the flush started. If no batch was between begin and end at
// that time, the flush covers all batches that had begun. As long as no further batch begins,
// whatever is visible is durable.
//
// A flush that starts while a batch is between begin and end covers an unknown set, so it is
// not counted. The flush that follows the last batch of a busy time is.
type progress struct {
	begun, ended atomic.Int64 // batches
	durable      atomic.Int64 // the first batches, of which all are durable
}

// begin is called before a batch becomes visible.
func (p *progress) begin() { p.begun.Add(1) }

// end is called when a batch is visible, or was not applied.
func (p *progress) end() { p.ended.Add(1) }

// isDurable reports whether everything is durable that was visible before the call.
func (p *progress) isDurable() bool {
	begun := p.begun.Load()
	return p.durable.Load() >= begun
}

// startFlush is called before a flush. It returns the number of the first batches that the
// flush makes durable, or zero if that is unknown.
func (p *progress) startFlush() int64 {
	ended := p.ended.Load()
	if p.begun.Load() != ended {
		return 0
	}
	return ended
}

// flushed is called after a flush with the result of startFlush.
func (p *progress) flushed(covered int64) {
	for durable := p.durable.Load(); durable < covered; durable = p.durable.Load() {
		p.durable.CompareAndSwap(durable, covered)
	}
}
