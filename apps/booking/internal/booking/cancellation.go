package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/cas"
	"boxoffice/shared/contract/eventapi"
)

// Cancellation is the job that cancels the live bookings of a cancelled event. It is a
// record, so that another process continues the job if its process dies.
type Cancellation struct {
	EventID string
	// Version starts at 1 and is raised by every write. Every write compares it.
	Version int64
	// Due is the earliest time at which a process may claim the job. A claim sets it to the
	// end of its lease. It is zero if the job is done.
	Due time.Time
	// Claim is the id of the last claim. Only the process that made it works on the job.
	Claim string
	// After is the position of the current pass: the id of the last booking that the pass
	// has tried. It is empty at the start of a pass.
	After string
	// Cancelled is the number of bookings that the job has cancelled. A process that dies
	// leaves its last page uncounted.
	Cancelled int64
	// DoneAt is the time at which the job was done. It is zero before that.
	DoneAt time.Time
}

// cancellationRetention is the minimum time that a job is kept after it is done. Nothing
// but curiosity needs such a job: if the event turns out to have a live booking, the next
// repetition of its fact starts a new one.
const cancellationRetention = 7 * 24 * time.Hour

// PurgeAt returns the time from which the store may delete the job. It returns false if
// the job is not done.
func (c Cancellation) PurgeAt() (time.Time, bool) {
	return c.DoneAt.Add(cancellationRetention), c.isDone()
}

func (c Cancellation) isDone() bool { return !c.DoneAt.IsZero() }

// OnEventCancelled makes sure that the live bookings of a cancelled event are going to be
// cancelled: it stores a job for RunCancellations, unless the event has an open one. It is
// idempotent and may run concurrently.
//
// A fact is only a hint: anyone who reaches the broker could have written it. The event app,
// whose record was written before the fact, says whether the event is cancelled. If it is
// unreachable or silent, OnEventCancelled does nothing: the event app repeats the fact until no
// booking of the event is live.
func (s *Service) OnEventCancelled(ctx context.Context, fact eventapi.Fact) error {
	isCancelled, err := s.isEventCancelled(ctx, fact.Resource.ID)
	switch {
	case apperr.Unanswered(err), err == nil && !isCancelled:
		return nil
	case err != nil:
		return fmt.Errorf("ask about event %s: %w", fact.Resource.ID, err)
	}
	err = cas.Retry(ctx, func(ctx context.Context) error {
		return s.requestCancellation(ctx, fact.Resource.ID)
	}, ErrStale, ErrExists)
	if err != nil {
		return fmt.Errorf("request the cancellation of event %s: %w", fact.Resource.ID, err)
	}
	s.WakeCancellations()
	return nil
}

// isEventCancelled asks the event app. A deleted event is not cancelled any more, and it has
// no live bookings.
func (s *Service) isEventCancelled(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	e, err := s.events.GetEvent(ctx, id)
	if refusal, ok := errors.AsType[*apperr.Error](err); ok && refusal.Code == apperr.NotFound {
		return false, nil
	}
	return e.Status == eventapi.StatusCancelled, err
}

// askTimeout limits how long a fact waits for the event app. It is shorter than the
// sidecar's timeout of a delivery (dapr/resiliency.yaml).
const askTimeout = 2 * time.Second

// requestCancellation makes one attempt to store a job, or to open one that is done. It
// returns ErrStale or ErrExists if another process wrote the job meanwhile.
//
// If the job is open, requestCancellation only raises its version. A process that is about
// to store that the job is done then finds its write stale, and looks for live bookings
// again: one may have been created after its last look.
func (s *Service) requestCancellation(ctx context.Context, eventID string) error {
	c, err := s.jobs.Jobs.GetCancellation(ctx, eventID)
	switch {
	case errors.Is(err, ErrNoCancellation):
		return s.jobs.Jobs.InsertCancellation(ctx, Cancellation{EventID: eventID, Version: 1, Due: s.now()})
	case err != nil:
		return err
	case c.isDone():
		c.Due, c.DoneAt, c.After = s.now(), time.Time{}, ""
	}
	return s.jobs.Jobs.ReplaceCancellation(ctx, c)
}

// WakeCancellations makes RunCancellations look for due jobs. It does not wait. Besides
// OnEventCancelled, the sweep calls it for the jobs that other processes left behind.
func (s *Service) WakeCancellations() {
	select {
	case s.wake <- struct{}{}:
	default: // RunCancellations is going to look anyway
	}
}

// RunCancellations works on jobs until ctx ends, and returns ctx.Err(). It looks for due
// jobs when it starts and whenever it is woken. It passes errors to report; the jobs that
// failed are retried after a later wake-up.
func (s *Service) RunCancellations(ctx context.Context, report func(context.Context, error)) error {
	for {
		if err := s.ContinueCancellations(ctx); err != nil && ctx.Err() == nil {
			report(ctx, err)
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
