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
	"boxoffice/test/stack"
)

// customer is somebody who books now and then, and notes every answer.
type customer struct {
	userID   string
	token    string
	persists bool // asks again, with the same key, until he knows; else never
	draw     *mathrand.Rand
}

// crowd is all customers at the events of one stack.
type crowd struct {
	customers []customer
	events    []string
	ledger    *invariant.Ledger
	gateway   atomic.Value // where they book; another one when all was started anew
}

func newCrowd(t *testing.T, s *stack.Stack, n int, events []string) *crowd {
	t.Helper()
	c := &crowd{events: events, ledger: &invariant.Ledger{}}
	c.gateway.Store(s.Gateway)
	for i := range n {
		_, account := s.Register(t)
		c.customers = append(c.customers, customer{
			userID: account.User.ID, token: account.Tokens.AccessToken, persists: i%2 == 0,
			draw: mathrand.New(mathrand.NewPCG(uint64(i), 1)),
		})
	}
	return c
}

// book lets all customers book until stop is called, which waits
// until each knows his last answer.
func (c *crowd) book(t *testing.T) (stop func()) {
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

// visit is a booking and what its owner does with it: keep it, cancel it, let it
// lapse.
func (c *crowd) visit(ctx context.Context, who *customer) {
	eventID, quantity := c.events[0], int64(1+who.draw.IntN(2)) // half of all want the first
	if who.draw.IntN(2) == 0 {
		eventID = c.events[who.draw.IntN(len(c.events))]
	}
	key := ""
	if who.persists || who.draw.IntN(2) == 0 {
		key = rand.Text()
	}
	id := ""
	c.until(ctx, who, func() int {
		a := invariant.Attempt{UserID: who.userID, EventID: eventID, Key: key, Quantity: quantity}
		if res, err := c.as(who).TryBook(ctx, eventID, int(quantity), key); err == nil {
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
		c.until(ctx, who, func() int {
			change := invariant.Change{BookingID: id, Cancel: cancel}
			if res, err := c.as(who).Try(ctx, "POST", "/api/bookings/"+id+step, nil); err == nil {
				change.Status = res.StatusCode
			}
			c.ledger.RecordChange(change)
			return change.Status
		})
	}
	switch who.draw.IntN(5) {
	case 0, 1:
		change(false)
	case 2:
		change(true)
	case 3:
		change(false)
		change(true)
	}
}

func (c *crowd) as(who *customer) stack.Client {
	return stack.Client{Gateway: c.gateway.Load().(string), Token: who.token}
}

// awaitMore waits until so many more requests were answered 201.
func (c *crowd) awaitMore(t *testing.T, n int) {
	t.Helper()
	before := c.ledger.Counts()[201]
	stack.Await(t, "bookings", func() error {
		if more := c.ledger.Counts()[201] - before; more < n {
			return fmt.Errorf("%d of %d", more, n)
		}
		return nil
	})
}

// until asks once, or, if the customer persists, until the outcome is known.
func (c *crowd) until(ctx context.Context, who *customer, ask func() (status int)) {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if status := ask(); !who.persists || status > 0 && status < 500 {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}
