package booking

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// pendingLimit limits the tickets in the pending bookings of each user, over all events. It
// keeps one user from holding many seats without paying. It is a protection and not an
// invariant: each process counts what is stored and what it creates at the moment, but not
// what others create at the moment.
type pendingLimit struct {
	most   int64 // no limit if zero
	finder Finder

	mu sync.Mutex
	// creates are the creates under way in this process, by user and in the order in which
	// they began. There are as many as requests.
	creates map[string][]*pendingCheck
}

func newPendingLimit(most int64, finder Finder) *pendingLimit {
	return &pendingLimit{most: most, finder: finder, creates: map[string][]*pendingCheck{}}
}

// pendingCheck is the comparison of one create with the limit.
type pendingCheck struct {
	limit     *pendingLimit
	bookingID string
	userID    string
	quantity  int64

	counted chan struct{} // closed when stored and err are set
	stored  int64         // tickets in the user's stored bookings
	err     error
}

// begin starts to count the pending tickets of a user, in the background, so that the count
// takes place while the create waits for its lock and its record. The caller must call end.
func (l *pendingLimit) begin(ctx context.Context, a *attempt) *pendingCheck {
	if l.most == 0 {
		return nil
	}
	c := &pendingCheck{limit: l, bookingID: a.id, userID: a.req.UserID, quantity: a.req.Quantity, counted: make(chan struct{})}
	l.mu.Lock()
	l.creates[c.userID] = append(l.creates[c.userID], c)
	l.mu.Unlock()
	go func() {
		defer close(c.counted)
		c.stored, c.err = l.finder.CountPendingTickets(ctx, c.userID, a.begun, l.most)
	}()
	return c
}

// check waits for the count. It returns the error of errPendingLimit if the create would
// exceed the limit, and another error if the tickets could not be counted.
//
// Creates that began earlier count as if they had succeeded, except duplicates of the same
// request.
func (c *pendingCheck) check() error {
	if c == nil {
		return nil
	}
	<-c.counted
	if c.err != nil {
		return fmt.Errorf("count pending tickets: %w", c.err)
	}
	// A create that has ended is in the count. That is why creates are added up after it.
	total := c.stored + c.quantity
	c.limit.mu.Lock()
	for _, other := range c.limit.creates[c.userID] {
		if other == c {
			break
		}
		if other.bookingID != c.bookingID {
			total += other.quantity
		}
	}
	c.limit.mu.Unlock()
	if total > c.limit.most {
		return errPendingLimit(c.limit.most)
	}
	return nil
}

// end ends the create. It waits for the count, so that nothing of it outlives the request.
func (c *pendingCheck) end() {
	if c == nil {
		return
	}
	<-c.counted
	l := c.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	others := slices.DeleteFunc(l.creates[c.userID], func(other *pendingCheck) bool { return other == c })
	l.creates[c.userID] = others
	if len(others) == 0 {
		delete(l.creates, c.userID)
	}
}

// errPendingLimit returns the refusal of a create that would exceed the limit.
func errPendingLimit(most int64) error {
	return apperr.New(apperr.Conflict, bookingapi.ReasonPendingLimit, fmt.Sprintf(
		"A user may have at most %d tickets in pending bookings. Confirm or cancel one of your pending bookings first.", most))
}
