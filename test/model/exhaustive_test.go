package model_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// choices is one schedule of the exhaustive search: the option taken at each point
// where the scheduler had several. advance enumerates the schedules depth first.
type choices struct {
	taken   []int // the option taken at each point
	options []int // the number of options at each point
	at      int   // the next point
}

// choose returns the option to take among n.
func (c *choices) choose(n int) int {
	if c.at == len(c.taken) {
		c.taken, c.options = append(c.taken, 0), append(c.options, n)
	}
	c.at++
	return c.taken[c.at-1]
}

// advance moves to the next schedule. It returns false after the last one.
func (c *choices) advance() bool {
	for c.at = 0; len(c.taken) > 0; {
		last := len(c.taken) - 1
		if c.taken[last]++; c.taken[last] < c.options[last] {
			return true
		}
		c.taken, c.options = c.taken[:last], c.options[:last]
	}
	return false
}

// TestEveryScheduleOfAScenarioKeepsTheInvariants tries all schedules of each
// scenario that have at most -interruptions interruptions. Two interruptions make a
// hundred thousand schedules. Each further one multiplies the time by thirty.
func TestEveryScheduleOfAScenarioKeepsTheInvariants(t *testing.T) {
	total := 0
	for _, s := range scenarios() {
		var c choices
		interruptions := *flagInterruptions + s.extraInterruptions
		for {
			total++
			if _, err := s.run(&c, interruptions, false); err != nil {
				c.at = 0
				w, _ := s.run(&c, interruptions, true)
				t.Fatalf("%s: %v\n%s", s.name, err, w.traceText())
			}
			if !c.advance() {
				break
			}
		}
	}
	t.Logf("%d schedules", total)
}

// run runs the schedule c, which has at most the given number of interruptions. It
// returns the final world, and an error for the first violation of an invariant.
func (s scenario) run(c *choices, interruptions int, keepTrace bool) (*world, error) {
	w := newWorld(1)
	defer w.crashAll()
	w.faultless, w.exhaustive, w.keepsTrace = true, true, keepTrace
	if err := s.setUp(w); err != nil {
		return w, err
	}
	s.start(w)
	var running *actor
	for len(w.actors) > 0 {
		hasEnded := running == nil || !slices.Contains(w.actors, running)
		others := slices.DeleteFunc(slices.Clone(w.actors), func(a *actor) bool { return a == running })
		choice := 0
		switch {
		case hasEnded:
			choice = c.choose(len(others)) // any actor; this is not an interruption
			running = others[choice]
		case interruptions > 0:
			choice = c.choose(2 + len(others)) // continue, crash, or switch to another actor
		}
		if !hasEnded && choice > 0 {
			interruptions--
			if choice == 1 {
				w.crash(running)
				continue
			}
			running = others[choice-2]
		}
		w.seen.lastActor = running
		w.resume(running)
		if err := w.check(); err != nil {
			return w, err
		}
	}
	if err := w.recover(0); err != nil {
		return w, fmt.Errorf("after recovery: %w", err)
	}
	return w, w.recover(ttl)
}

// setUp creates the scenario's event, and runs its preparation to the end.
func (s scenario) setUp(w *world) error {
	def := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(w.now.Add(100 * 24 * time.Hour)), EndsAt: contract.At(w.now.Add(101 * 24 * time.Hour)),
		Capacity: s.capacity,
	}
	if s.limit > 0 {
		def.MaxPerUser = &s.limit
	}
	if _, err := w.events[0].CreateEvent(context.Background(), eventapi.CreateRequest{EventID: eventID, OrganizerID: "admin", Event: def}); err != nil {
		return err
	}
	if s.prepare == nil {
		return nil
	}
	s.prepare(w)
	for len(w.actors) > 0 {
		if err := w.finish(w.actors[0]); err != nil {
			return err
		}
	}
	return nil
}
