package storage

import "testing"

// TestProgressNeverReportsUnflushedBatchesAsDurable runs two writers, a reader, and an actor
// that flushes twice, in every order of their steps.
func TestProgressNeverReportsUnflushedBatchesAsDurable(t *testing.T) {
	orders, durable := 0, 0
	// run executes the steps in the order of a schedule, each element of which names the
	// actor of the next step.
	run := func(schedule []int) {
		var p progress
		var covered int64                            // of the current flush
		var visible, flushing, flushed, read [2]bool // by batch
		var steps [4]int                             // by actor
		for _, actor := range schedule {
			step := steps[actor]
			steps[actor]++
			switch {
			case actor < 2 && step == 0:
				p.begin()
			case actor < 2 && step == 1:
				visible[actor] = true
			case actor < 2:
				p.end()
			case actor == 2 && step%3 == 0:
				covered = p.startFlush()
			case actor == 2 && step%3 == 1:
				flushing = visible
			case actor == 2:
				flushed = flushing // nothing becomes invisible again
				p.flushed(covered)
			case step == 0:
				read = visible
			case p.isDurable():
				durable++
				for batch := range read {
					if read[batch] && !flushed[batch] {
						t.Fatalf("order %v: batch %d was read and is reported as durable, but was not flushed", schedule, batch)
					}
				}
			}
		}
		orders++
	}
	left := [4]int{3, 3, 6, 2}
	var schedule []int
	var choose func()
	choose = func() {
		isComplete := true
		for actor := range left {
			if left[actor] == 0 {
				continue
			}
			isComplete = false
			left[actor]--
			schedule = append(schedule, actor)
			choose()
			schedule = schedule[:len(schedule)-1]
			left[actor]++
		}
		if isComplete {
			run(schedule)
		}
	}
	choose()
	if orders == 0 || durable == 0 {
		t.Errorf("got %d orders, of which %d report durable batches, want some", orders, durable)
	}
}
