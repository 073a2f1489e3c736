package booking

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/shared/cas"
	"boxoffice/shared/contract/eventapi"
)

const (
	// cancellationPage is the maximum number of bookings between two writes of a job. Their
	// seats are released in four calls, and their facts are published before the next page,
	// so this is also how far a job runs ahead of the bus.
	cancellationPage = 4 * eventapi.MaxReserves
	// pagesPerClaim limits the work under one claim, so that the jobs of several events
	// take turns in a process.
	pagesPerClaim = 16
	// claimLease is how long a claim keeps other processes away from a job. Each page
	// renews it. It is longer than the time limits of a page together, and longer than the
	// clocks of processes differ. If two processes work on one job nevertheless, they only
	// waste work.
	claimLease = 30 * time.Second
	// pageTimeout limits how long a page of bookings may take to cancel. A booking that
	// takes longer is left to the next pass.
	pageTimeout = 5 * time.Second
	// publishTimeout limits how long the facts of a page may take to publish.
	publishTimeout = 10 * time.Second
	// cancellationRetryAfter is how long a job waits after an error.
	cancellationRetryAfter = 5 * time.Second
	// putBackTimeout limits the write that gives up a claim, which must also succeed while
	// the process stops.
	putBackTimeout = time.Second
	// dueJobs is the maximum number of jobs that a process tries to claim at once.
	dueJobs = 16
	// maxReported limits the errors of single bookings that an error of a page contains.
	maxReported = 3
)

// errClaimLost means that another process has claimed the job, or has done it.
var errClaimLost = errors.New("another process claimed the job")

// ContinueCancellations works on due jobs until no job is due. It returns the errors of
// all jobs, joined. Any number of processes may call it concurrently: each job has at most
// one valid claim.
func (s *Service) ContinueCancellations(ctx context.Context) error {
	var failed []error
	for ctx.Err() == nil {
		isClaimed, err := s.continueCancellation(ctx)
		if err != nil {
			failed = append(failed, err)
		}
		if !isClaimed {
			break
		}
	}
	return errors.Join(failed...)
}

// continueCancellation claims the job that has been due for the longest time, and works on
// it. It reports whether there was such a job.
func (s *Service) continueCancellation(ctx context.Context) (isClaimed bool, err error) {
	due, err := s.jobs.Jobs.DueCancellations(ctx, s.now(), dueJobs)
	if err != nil {
		return false, fmt.Errorf("find due cancellations: %w", err)
	}
	for _, c := range due {
		r := &cancellationRun{svc: s, job: c, seats: s.newDischarger()}
		switch err := r.claim(ctx); {
		case errors.Is(err, ErrStale):
			continue // another process has claimed it, or it was requested again
		case err != nil:
			return false, fmt.Errorf("claim the cancellation of event %s: %w", c.EventID, err)
		}
		if err := r.run(ctx); err != nil {
			return true, fmt.Errorf("cancel the bookings of event %s: %w", c.EventID, err)
		}
		return true, nil
	}
	return false, nil
}

// cancellationRun is the work on a job under one claim.
type cancellationRun struct {
	svc    *Service
	job    Cancellation // as it was last written
	seats  *discharger
	failed []error
}

// run works through pages of live bookings until the job is done, pagesPerClaim pages are
// done, or nothing more can be achieved for now. It then gives the claim up, unless it has
// lost it. It returns all errors, joined.
//
// A pass goes through the live bookings of the event by id. Passes are repeated until one
// finds no live booking from its start. Nothing else makes the job done: the position of a
// pass only saves work.
func (r *cancellationRun) run(ctx context.Context) error {
	mustPause := false
	for range pagesPerClaim {
		if mustPause = r.cancelPage(ctx); mustPause || r.job.isDone() {
			break
		}
	}
	err := errors.Join(r.failed...)
	switch {
	case errors.Is(err, errClaimLost):
		return nil
	case !r.job.isDone():
		r.putBack(ctx, mustPause && ctx.Err() == nil)
	}
	return err
}

// claim writes a new claim into the job. It returns ErrStale if the job was written since
// it was read.
func (r *cancellationRun) claim(ctx context.Context) error {
	r.job.Claim, r.job.Due = r.svc.ids.NewID(), r.svc.now().Add(claimLease)
	if err := r.svc.jobs.Jobs.ReplaceCancellation(ctx, r.job); err != nil {
		return err
	}
	r.job.Version++
	return nil
}

// putBack gives the claim up, so that any process may claim the job, at once or after
// cancellationRetryAfter. It drops errors, because the claim ends by itself.
func (r *cancellationRun) putBack(ctx context.Context, mustPause bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackTimeout)
	defer cancel()
	_ = r.save(ctx, func(c *Cancellation) {
		c.Due = r.svc.now()
		if mustPause {
			c.Due = c.Due.Add(cancellationRetryAfter)
		}
	})
}

// cancelPage cancels the next page of live bookings, releases their seats, publishes their
// facts and saves the position. If there are no live bookings at all, it stores that the
// job is done. It adds errors to r.failed.
//
// It reports whether the job must pause: the store or the bus fails, or bookings of the page
// failed and none was cancelled. A single booking that fails does not keep the job from the
// bookings behind it. The passes end in a pause when only bookings that fail are left.
func (r *cancellationRun) cancelPage(ctx context.Context) (mustPause bool) {
	ctx, end := r.svc.jobs.Trace(ctx, "cancel bookings")
	defer end()
	live, err := r.svc.finder.LiveBookings(ctx, r.job.EventID, r.job.After, cancellationPage)
	if err != nil {
		return r.fail(fmt.Errorf("find live bookings: %w", err))
	}
	if len(live) == 0 && r.job.After == "" {
		return r.fail(r.finish(ctx))
	}
	cancelled, err := r.svc.cancelWithEvent(ctx, live)
	mustPause = r.fail(err) && len(cancelled) == 0
	mustPause = r.fail(r.settlePage(ctx, cancelled)) || mustPause
	position := ""
	if len(live) == cancellationPage {
		position = live[len(live)-1].ID
	}
	err = r.save(ctx, func(c *Cancellation) {
		c.After = position
		c.Cancelled += int64(len(cancelled))
		c.Due = r.svc.now().Add(claimLease)
	})
	return r.fail(err) || mustPause
}

// fail adds err to r.failed and reports whether it is an error.
func (r *cancellationRun) fail(err error) bool {
	if err != nil {
		r.failed = append(r.failed, err)
	}
	return err != nil
}

// settlePage releases the seats of bookings that were just cancelled, publishes their
// facts, and then waits as the pacer demands. The seats come first: the facts then find
// them released, so the event app's consumer has less to do.
func (r *cancellationRun) settlePage(ctx context.Context, cancelled []Booking) error {
	if len(cancelled) == 0 {
		return nil
	}
	if err := r.seats.discharge(ctx, cancelled...); err != nil {
		return err
	}
	ids := make([]string, len(cancelled))
	for i, b := range cancelled {
		ids[i] = b.ID
	}
	publishing, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := r.svc.jobs.Publisher.PublishFacts(publishing, ids); err != nil {
		return fmt.Errorf("publish facts: %w", err)
	}
	return r.svc.jobs.Pacer.Wait(ctx, len(ids))
}

// finish stores that the job is done, unless the cancellation was requested again since
// the bookings were read. The run then continues with another pass.
func (r *cancellationRun) finish(ctx context.Context) error {
	seen := r.job.Version
	return r.save(ctx, func(c *Cancellation) {
		if c.Version == seen {
			c.Due, c.Claim, c.DoneAt = time.Time{}, "", r.svc.now()
		}
	})
}

// save applies change to the job and writes it. If the cancellation was requested again
// since the job was last written, save reads the job and repeats both. It returns
// errClaimLost if another process has claimed the job or done it.
func (r *cancellationRun) save(ctx context.Context, change func(c *Cancellation)) error {
	next, isRetry := r.job, false
	err := cas.Retry(ctx, func(ctx context.Context) (err error) {
		if isRetry {
			if next, err = r.reread(ctx); err != nil {
				return err
			}
		}
		isRetry = true
		change(&next)
		return r.svc.jobs.Jobs.ReplaceCancellation(ctx, next)
	}, ErrStale)
	if err != nil {
		return fmt.Errorf("save the job: %w", err)
	}
	next.Version++
	r.job = next
	return nil
}

// reread returns the stored job, or errClaimLost if the claim is not valid any more.
func (r *cancellationRun) reread(ctx context.Context) (Cancellation, error) {
	c, err := r.svc.jobs.Jobs.GetCancellation(ctx, r.job.EventID)
	switch {
	case errors.Is(err, ErrNoCancellation), err == nil && c.Claim != r.job.Claim:
		return c, errClaimLost
	default:
		return c, err
	}
}

// cancelWithEvent cancels live bookings of a cancelled event concurrently, and returns
// those that it cancelled. It tries all of them within pageTimeout. The error contains the
// first errors of the others.
func (s *Service) cancelWithEvent(ctx context.Context, live []Booking) ([]Booking, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	after, errs := make([]Booking, len(live)), make([]error, len(live))
	var tried atomic.Int64
	work := func() {
		for i := int(tried.Add(1)) - 1; i < len(live); i = int(tried.Add(1)) - 1 {
			after[i], errs[i] = s.cancelOneWithEvent(ctx, live[i])
		}
	}
	var others sync.WaitGroup
	for range min(s.jobs.Parallel, len(live)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()

	var cancelled []Booking
	var failed []error
	for i := range live {
		switch {
		case errs[i] != nil:
			failed = append(failed, errs[i])
		case after[i].ID != "":
			cancelled = append(cancelled, after[i])
		}
	}
	if len(failed) == 0 {
		return cancelled, nil
	}
	return cancelled, fmt.Errorf("%d of %d bookings: %w", len(failed), len(live), errors.Join(failed[:min(len(failed), maxReported)]...))
}

// cancelOneWithEvent cancels a live booking and returns it as it is then. It returns the
// zero Booking if the booking is not live any more. A panic becomes an error.
func (s *Service) cancelOneWithEvent(ctx context.Context, b Booking) (cancelled Booking, err error) {
	defer recoverTo(&err, "cancel booking "+b.ID)
	_, err = s.update(ctx, b, func(b Booking) (Booking, error) {
		if !b.IsLive() {
			return b, nil
		}
		next := b.cancelled(ByEventCancelled, s.now())
		if err := s.replaceIn(ctx, s.jobs.Unpublished, b, next); err != nil {
			return b, err
		}
		cancelled = next
		return next, nil
	})
	return cancelled, err
}
