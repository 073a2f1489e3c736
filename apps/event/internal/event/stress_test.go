package event_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

var (
	stressSeed = flag.Uint64("stress.seed", 1, "the first seed of TestStress")
	stressRuns = flag.Uint64("stress.runs", 3, "the number of seeds that TestStress tries")
)

// stress simulates two processes over one store, and the booking app. The store is slow
// and fails at random, before an operation or after it.
type stress struct {
	*testing.T
	store   *eventtest.Store
	svcs    [2]*event.Service
	batches [2]*coalesce.Group[*event.Member]
	limit   int64 // of each user; 0 if the test changes the limit of the event
	faults  bool

	mu       sync.Mutex
	rand     *rand.Rand
	now      time.Time
	next     int
	bookings map[string]*stressBooking // by hold
	ids      []string
}

// stressBooking is a booking with the state that the booking app's record would have.
type stressBooking struct {
	eventapi.ReserveRequest
	live, confirmed, dead bool
}

var errFault = errors.New("injected fault")

func newStress(t *testing.T, seed uint64) *stress {
	s := &stress{
		T: t, store: eventtest.NewStore(), faults: true, rand: rand.New(rand.NewPCG(seed, 7)),
		now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), bookings: map[string]*stressBooking{},
	}
	gated := s.store.WithGate(s.gate)
	for i := range s.svcs {
		s.batches[i] = eventtest.NewBatches()
		s.svcs[i] = event.New(event.Config{
			Observer: eventtest.NoObserver{}, SweepParallel: 1,
			Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: s, Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{},
			Batches: s.batches[i], Clock: s, IDs: s, HoldSettleAfter: settleAfter,
		})
	}
	d := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(s.now.Add(1000 * time.Hour)), EndsAt: contract.At(s.now.Add(1002 * time.Hour)), Capacity: 40,
	}
	if seed%3 != 0 {
		s.limit = int64(3 + seed%4)
		d.MaxPerUser = &s.limit
	}
	f := &fixture{t: t, Service: event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: s.store, Log: s.store, Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{}, Clock: s, IDs: s,
	})}
	_, err := f.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: "gala", OrganizerID: "admin", Event: d})
	f.wantErr("create", err, nil)
	return s
}

func (s *stress) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

// gate injects faults and delays into the store.
func (s *stress) gate(string) (before, after error) {
	s.mu.Lock()
	faults, chance, wait := s.faults, s.rand.IntN(100), time.Duration(s.rand.IntN(300))*time.Microsecond
	s.mu.Unlock()
	switch {
	case !faults:
	case chance < 3:
		return errFault, nil
	case chance < 6:
		return nil, errFault
	case chance < 40:
		time.Sleep(wait) // lets other operations overtake this one; the result must not depend on it
	}
	return nil, nil
}

func (s *stress) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stress) NewID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return fmt.Sprintf("id-%d", s.next)
}

// SettleHolds makes dead bookings impossible before it answers, as the booking app does.
func (s *stress) SettleHolds(_ context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]rpc.Result[bookingapi.Settlement], len(holdIDs))
	for i, id := range holdIDs {
		b := s.bookings[id]
		if !b.live {
			b.dead = true
		}
		results[i].Data = bookingapi.Settlement{Live: b.live, Confirmed: b.live && b.confirmed}
	}
	return results, nil
}

// ReconcileBookings returns an empty page. No test of this type reconciles.
func (s *stress) ReconcileBookings(context.Context, bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	return bookingapi.ReconcilePage{}, nil
}

// newBooking returns a booking that has not been tried yet.
func (s *stress) newBooking() *stressBooking {
	id := s.NewID() + "_1_x"
	b := &stressBooking{ReserveRequest: eventapi.ReserveRequest{
		HoldID: id, EventID: "gala", UserID: fmt.Sprintf("u%d", s.roll(8)), Quantity: int64(1 + s.roll(3)),
		ExpiresAt: contract.At(s.Now().Add(15 * time.Minute)),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bookings[id] = b
	s.ids = append(s.ids, id)
	return b
}

// recentBooking returns a random one of the bookings that were tried recently.
func (s *stress) recentBooking() *stressBooking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ids) == 0 {
		return nil
	}
	last := s.ids[max(0, len(s.ids)-40):]
	return s.bookings[last[s.rand.IntN(len(last))]]
}

// reserve tries to reserve the seats, and records the booking if it succeeds.
func (s *stress) reserve(ctx context.Context, b *stressBooking) error {
	_, err := eventtest.Reserve(ctx, s.svcs[s.roll(2)], b.ReserveRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !b.dead {
		b.live = true
	}
	return err
}

func (s *stress) release(ctx context.Context, b *stressBooking) error {
	s.mu.Lock()
	b.live, b.dead = false, true
	s.mu.Unlock()
	return eventtest.Release(ctx, s.svcs[s.roll(2)], eventapi.ReleaseRequest{HoldID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity})
}

func (s *stress) sell(ctx context.Context, b *stressBooking) error {
	s.mu.Lock()
	b.confirmed = b.live
	confirmed := b.confirmed
	s.mu.Unlock()
	if !confirmed {
		return nil
	}
	return s.svcs[s.roll(2)].OnBookingConfirmed(ctx, bookingapi.Fact{Resource: bookingapi.Resource{
		HoldID: b.HoldID, Booking: bookingapi.Booking{EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity},
	}})
}

// create makes a booking as a client does. It sometimes sends a concurrent duplicate, and
// it may retry if the result is unknown.
func (s *stress) create(ctx context.Context) {
	b := s.newBooking()
	if s.roll(4) == 0 {
		var duplicates sync.WaitGroup
		for range 2 {
			duplicates.Go(func() { _ = s.reserve(ctx, b) })
		}
		duplicates.Wait()
		return
	}
	err := s.reserve(ctx, b)
	if isRefusal(err) {
		s.checkRefused(b.HoldID, b.UserID, err)
	}
	for err != nil && !isRefusal(err) && s.roll(2) == 0 {
		err = s.reserve(ctx, b)
	}
}

func isRefusal(err error) bool {
	return err != nil && !apperr.From(err).Failure() && apperr.From(err).Code != apperr.Unavailable
}

// checkRefused checks that neither the event nor the limit counts a refused hold.
func (s *stress) checkRefused(id, user string, refusal error) {
	c := s.store.Contents()
	h, isMarked := c.Events["gala"].Seats.Marks[id]
	if !isMarked {
		h = c.Holds[id]
	}
	if h.State == event.Held || h.State == event.Sold {
		s.Errorf("hold %s was refused (%v): got state %s, want released or none", id, refusal, h.State)
	}
	if q := c.Limits[event.LimitKey{EventID: "gala", UserID: user}].By[id]; q != 0 {
		s.Errorf("hold %s was refused (%v): got a limit entry of %d, want none", id, refusal, q)
	}
}

// act performs one random action.
func (s *stress) act() {
	ctx := s.Context()
	if s.roll(10) == 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(s.roll(2000))*time.Microsecond)
		defer cancel()
		ctx = limited
	}
	svc := s.svcs[s.roll(2)]
	change := func(c eventapi.Changes) {
		_, _ = svc.UpdateEvent(ctx, eventapi.UpdateRequest{EventID: "gala", ChangeID: s.NewID(), Changes: c})
	}
	switch n := s.roll(100); {
	case n < 50:
		s.create(ctx)
	case n < 70:
		if b := s.recentBooking(); b != nil {
			_ = s.release(ctx, b)
		}
	case n < 86:
		if b := s.recentBooking(); b != nil {
			_ = s.sell(ctx, b)
		}
	case n < 91:
		change(eventapi.Changes{Capacity: contract.Set(int64(20 + s.roll(60)))})
	case n < 94 && s.limit == 0:
		change(eventapi.Changes{MaxPerUser: contract.Set(int64(2 + s.roll(6)))})
	case n < 95 && s.limit == 0:
		change(eventapi.Changes{MaxPerUser: contract.Clear[int64]()})
	case n < 97:
		s.mu.Lock()
		s.now = s.now.Add(20 * time.Second)
		s.mu.Unlock()
		_ = svc.Sweep(ctx)
	}
	s.checkInvariants()
}

// checkInvariants checks the conditions that must hold at every instant.
func (s *stress) checkInvariants() {
	c := s.store.Contents()
	seats := c.Events["gala"].Seats
	if seats.Available < 0 || seats.Held < 0 || seats.Sold < 0 || seats.Capacity != seats.Available+seats.Held+seats.Sold {
		s.Errorf("inconsistent counters: capacity %d, available %d, held %d, sold %d", seats.Capacity, seats.Available, seats.Held, seats.Sold)
	}
	if len(seats.Marks) > 200 || len(seats.Entries) > 200 {
		s.Errorf("got %d marks and %d log entries, want at most 200 of each", len(seats.Marks), len(seats.Entries))
	}
	if sum := c.LogSum("gala"); sum != (event.Change{Available: seats.Available, Held: seats.Held, Sold: seats.Sold}) {
		s.Errorf("the log entries add up to %+v, want the counters %+v", sum, seats)
	}
	if s.limit == 0 {
		return
	}
	// A mark is at least as new as the document of its hold.
	maps.Copy(c.Holds, seats.Marks)
	used := map[string]int64{}
	for _, h := range c.Holds {
		if h.State != event.Released {
			used[h.UserID] += h.Quantity
		}
	}
	for user, n := range used {
		if n > s.limit {
			s.Errorf("user %s has %d tickets, want at most %d", user, n, s.limit)
		}
	}
}

// quiesce ends the faults, repeats the last request of each booking, and sweeps until
// nothing is left to do.
func (s *stress) quiesce() {
	s.mu.Lock()
	s.faults = false
	s.mu.Unlock()
	for _, id := range s.ids {
		b, err := s.bookings[id], error(nil)
		switch {
		case b.dead:
			err = s.release(s.Context(), b)
		case b.confirmed:
			err = s.sell(s.Context(), b)
		}
		if err != nil {
			s.Errorf("hold %s without faults: %v", id, err)
		}
	}
	for range 100 {
		writes := s.store.Writes()
		s.now = s.now.Add(2 * settleAfter)
		for _, svc := range s.svcs {
			if err := svc.Sweep(s.Context()); err != nil {
				s.Errorf("sweep without faults: %v", err)
			}
		}
		// Every sweep claims the live holds, asks about them again, and writes the time to ask
		// next.
		live := 0
		for _, h := range s.store.Contents().Holds {
			if h.State == event.Held {
				live++
			}
		}
		if s.store.Writes()-writes <= 2*int64(live) && s.isSettled() {
			return
		}
	}
	s.Error("100 sweeps did not finish the work")
}

// isSettled reports whether no stamps, no marks and no unlogged entries are left.
func (s *stress) isSettled() bool {
	c := s.store.Contents()
	for _, l := range c.Limits {
		if !l.ClaimedAt.IsZero() {
			return false
		}
	}
	seats := c.Events["gala"].Seats
	return len(seats.Marks)+len(seats.Entries) == 0
}

// checkFinal checks that all documents match the bookings once the work is finished.
func (s *stress) checkFinal() {
	c := s.store.Contents()
	seats := c.Events["gala"].Seats
	var held, sold int64
	limits := map[string]map[string]int64{}
	for _, id := range s.ids {
		b, h := s.bookings[id], c.Holds[id]
		want := event.Held
		switch {
		case b.live && b.confirmed:
			want = event.Sold
			sold += b.Quantity
		case b.live:
			held += b.Quantity
		default:
			want = event.Released
		}
		if h.State != want && (b.live || b.dead || h.State != "") {
			s.Errorf("hold %s: got state %q, want %q: %+v", id, h.State, want, *b)
		}
		if b.live && h.Limited {
			if limits[b.UserID] == nil {
				limits[b.UserID] = map[string]int64{}
			}
			limits[b.UserID][id] = b.Quantity
		}
	}
	if seats.Held != held || seats.Sold != sold || seats.Available != seats.Capacity-held-sold {
		s.Errorf("got available %d, held %d, sold %d of %d, want %d held and %d sold", seats.Available, seats.Held, seats.Sold, seats.Capacity, held, sold)
	}
	var logged event.Change
	for _, e := range c.Logs["gala"] {
		logged = logged.Plus(e.Change)
	}
	if logged != (event.Change{Available: seats.Available, Held: seats.Held, Sold: seats.Sold}) {
		s.Errorf("the log adds up to %+v, want the counters %+v", logged, seats)
	}
	for key, l := range c.Limits {
		var sum int64
		for _, q := range l.By {
			sum += q
		}
		if l.Used != sum || !maps.Equal(l.By, limits[key.UserID]) && len(l.By)+len(limits[key.UserID]) > 0 {
			s.Errorf("limit of %s: got %d used by %v, want %v", key.UserID, l.Used, l.By, limits[key.UserID])
		}
		delete(limits, key.UserID)
	}
	for _, user := range slices.Sorted(maps.Keys(limits)) {
		s.Errorf("limit of %s: got none, want %v", user, limits[user])
	}
	for _, batches := range s.batches {
		if n := batches.Queued("gala"); n != 0 {
			s.Errorf("got %d queued calls in the end, want 0", n)
		}
	}
}

// Requests run concurrently, are cancelled, fail and are repeated. The counters must be
// consistent at every instant. In the end, the seats of all live bookings are counted, and
// no others.
func TestStress(t *testing.T) {
	for seed := *stressSeed; seed < *stressSeed+*stressRuns; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStress(t, seed)
			var clients sync.WaitGroup
			for range 24 {
				clients.Go(func() {
					for range 40 {
						s.act()
					}
				})
			}
			clients.Wait()
			s.quiesce()
			s.checkFinal()
			if testing.Verbose() {
				c := s.store.Contents()
				n := map[event.HoldState]int{}
				for _, h := range c.Holds {
					n[h.State]++
				}
				t.Logf("version %d, seats %+v, holds %v", c.Events["gala"].Seats.Version, c.Events["gala"].Seats, n)
			}
			if t.Failed() {
				t.FailNow()
			}
		})
	}
}
