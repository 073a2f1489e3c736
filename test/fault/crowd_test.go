package fault_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// customer is a user who books seats again and again.
type customer struct {
	userID  string
	token   string
	retries bool // each request is repeated, with the same key, until its outcome is known
	rng     *mathrand.Rand
}

// crowd is a number of customers who book seats of some events concurrently. It records
// every request, and its reply, in a ledger.
type crowd struct {
	customers []customer
	events    []string
	ledger    *invariant.Ledger
	gateway   atomic.Value // the base URL, which changes when the stack is restarted
}

// newCrowd registers n customers. Every second one retries.
func newCrowd(t *testing.T, s *stack.Stack, n int, events []string) *crowd {
	t.Helper()
	c := &crowd{events: events, ledger: &invariant.Ledger{}}
	c.gateway.Store(s.Gateway)
	for i := range n {
		_, account := s.Register(t)
		c.customers = append(c.customers, customer{
			userID: account.User.ID, token: account.Tokens.AccessToken, retries: i%2 == 0,
			rng: mathrand.New(mathrand.NewPCG(uint64(i), 1)),
		})
	}
	return c
}

// startBooking makes all customers book until the caller calls stop. stop waits for their
// last requests.
func (c *crowd) startBooking(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range c.customers {
		wg.Go(func() {
			pace := time.NewTicker(150 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				c.visit(t.Context(), &c.customers[i])
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// visit books seats for a customer, and then confirms the booking, cancels it, does
// both, or lets it expire.
func (c *crowd) visit(ctx context.Context, by *customer) {
	eventID, quantity := c.events[0], int64(1+by.rng.IntN(2)) // at least half of the bookings are for the first event
	if by.rng.IntN(2) == 0 {
		eventID = c.events[by.rng.IntN(len(c.events))]
	}
	key := ""
	if by.retries || by.rng.IntN(2) == 0 {
		key = rand.Text()
	}
	id := ""
	c.retry(ctx, by, func() int {
		a := invariant.Attempt{UserID: by.userID, EventID: eventID, Key: key, Quantity: quantity}
		if res, err := c.clientOf(by).TryBook(ctx, eventID, int(quantity), key); err == nil {
			var b bookingapi.Booking
			a.Status = res.StatusCode
			if a.Status == 201 && json.Unmarshal([]byte(res.Text), &b) == nil {
				a.BookingID, id = b.ID, b.ID
			}
		}
		c.ledger.RecordAttempt(a)
		return a.Status
	})
	if id == "" {
		return
	}
	change := func(cancel bool) {
		step := map[bool]string{true: "/cancel", false: "/confirm"}[cancel]
		c.retry(ctx, by, func() int {
			change := invariant.Change{BookingID: id, Cancel: cancel}
			if res, err := c.clientOf(by).Try(ctx, "POST", "/api/bookings/"+id+step, nil); err == nil {
				change.Status = res.StatusCode
			}
			c.ledger.RecordChange(change)
			return change.Status
		})
	}
	switch by.rng.IntN(5) {
	case 0, 1:
		change(false)
	case 2:
		change(true)
	case 3:
		change(false)
		change(true)
	}
}

// clientOf returns the client of a customer.
func (c *crowd) clientOf(by *customer) stack.Client {
	return stack.Client{Gateway: c.gateway.Load().(string), Token: by.token}
}

// awaitBookings waits until n more requests have received 201.
func (c *crowd) awaitBookings(t *testing.T, n int) {
	t.Helper()
	before := c.ledger.Counts()[201]
	kit.Eventually(t, stack.WaitTimeout, fmt.Sprintf("the crowd has made %d more bookings", n), func() error {
		if more := c.ledger.Counts()[201] - before; more < n {
			return fmt.Errorf("got %d, want %d", more, n)
		}
		return nil
	})
}

// retry calls send. If the customer retries, it repeats the call until the outcome is
// known.
func (c *crowd) retry(ctx context.Context, by *customer, send func() (status int)) {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if status := send(); !by.retries || status > 0 && status < 500 {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}
