package model_test

import (
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// workload is the relative frequency of each kind of actor in a schedule.
type workload struct {
	create, confirm, cancel, deliver, sweepEvents, sweepBookings, capacity, limit, cancelEvent, deleteEvent, jobs int
}

func workloads() []workload {
	return []workload{
		{45, 9, 8, 12, 8, 5, 5, 5, 2, 1, 2},
		{30, 3, 20, 12, 8, 5, 2, 6, 1, 13, 1},  // deletions
		{30, 20, 5, 15, 10, 12, 3, 3, 1, 1, 1}, // expiries and late confirms
		{50, 2, 12, 5, 12, 3, 4, 12, 0, 0, 0},  // limits
		{60, 4, 6, 6, 14, 2, 8, 0, 0, 0, 0},    // idempotency keys
		{40, 9, 5, 15, 10, 5, 2, 2, 6, 1, 10},  // cancelled events
		{25, 18, 16, 6, 8, 20, 1, 2, 1, 1, 2},  // obligations
	}
}

// spawnRandom spawns an actor of a random kind, with the frequencies of the workload.
func (w *world) spawnRandom() {
	// onBooking applies do to a random visible booking, or requests one if there is none.
	onBooking := func(do func(id, userID string)) func() {
		return func() {
			if ids := w.seen.bookings; len(ids) > 0 {
				id := ids[w.rng.IntN(len(ids))]
				do(id, w.seen.owner[id])
				return
			}
			w.createRandom()
		}
	}
	load := w.workload
	kinds := []struct {
		weight int
		spawn  func()
	}{
		{load.create, w.createRandom},
		{load.confirm, onBooking(w.confirm)},
		{load.cancel, onBooking(w.cancel)},
		{load.deliver, func() {
			w.relay()
			if len(w.bus) > 0 {
				w.deliver(w.bus[w.rng.IntN(len(w.bus))])
			}
		}},
		{load.sweepEvents, func() { w.sweepEvents() }},
		{load.sweepBookings, func() { w.sweepBookings() }},
		{load.capacity, func() { w.update(eventapi.Changes{Capacity: contract.Set(int64(1 + w.rng.IntN(4)))}) }},
		{load.limit, func() {
			limit := contract.Clear[int64]()
			if !w.oneIn(4) {
				limit = contract.Set(int64(1 + w.rng.IntN(3)))
			}
			w.update(eventapi.Changes{MaxPerUser: limit})
		}},
		{load.cancelEvent, w.cancelEvent},
		{load.deleteEvent, w.deleteEvent},
		{load.jobs, func() { w.runCancellations() }},
	}
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n := w.rng.IntN(sum)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			k.spawn()
			return
		}
	}
}
