package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/tools/demo/season"
)

// minSeats is the number of available seats that an event must have to be chosen. At most
// two people book the same event, with three seats each. The rest is a reserve.
const minSeats = 20

// person simulates a customer who registers, books twice and logs out.
type person struct {
	name, category string

	*client
	season               map[string]bool // keys of the events that may be booked
	email, refreshToken  string
	event                eventapi.Event
	confirmed, cancelled bookingapi.Booking
}

// newPeople returns the people of the demo. People with the same category book the same
// event.
func newPeople(d *demo, events []season.Event) []*person {
	keys := map[string]bool{}
	for _, e := range events {
		keys[e.Key()] = true
	}
	people := []*person{
		{name: "Ada", category: "opera"}, {name: "Grace", category: "opera"}, {name: "Alan", category: "jazz"},
		{name: "Edsger", category: "theatre"}, {name: "Barbara", category: "classical"}, {name: "Donald", category: "rock"},
		{name: "Niklaus", category: "classical"},
	}
	for _, p := range people {
		p.client, p.season = d.newClient(), keys
		p.email = strings.ToLower(p.name+"-"+rand.Text()[:12]) + "@example.org"
	}
	return people
}

// lastBooking is the booking that was created last.
type lastBooking struct {
	mu      sync.Mutex
	person  string
	event   string
	booking bookingapi.Booking
	traceID string
}

func (l *lastBooking) set(p *person, b bookingapi.Booking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.person, l.event, l.booking, l.traceID = p.name, p.event.Name, b, p.last.traceID
}

// simulate lets all people but the last book concurrently, then the last one alone,
// and then prints the admin's view of the bookings. Concurrent bookings are batched, and
// some spans of a batch are only in the trace of its leader. The trace of a booking that
// is made alone has all spans.
func (d *demo) simulate(ctx context.Context, admin *client, events []season.Event) (*lastBooking, error) {
	people, last := newPeople(d, events), &lastBooking{}
	crowd := len(people) - 1
	d.printf("%d people book concurrently, then one more alone\n", crowd)
	failed := make([]error, len(people))
	run := func(i int) {
		if err := people[i].run(ctx, last); err != nil {
			failed[i] = fmt.Errorf("%s: %w", people[i].name, err)
		}
	}
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { run(i) })
	}
	wg.Wait()
	run(crowd)
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	for _, p := range people {
		d.printf("  %-8s %-28s %d × %-12s %s confirmed, %s cancelled\n",
			p.name, p.event.Name, p.confirmed.Quantity, price(p.event), p.confirmed.Code, p.cancelled.Code)
	}
	return last, d.printBookings(ctx, admin, people)
}

func price(e eventapi.Event) string {
	return fmt.Sprintf("%d.%02d %s", e.Price.Amount/100, e.Price.Amount%100, e.Price.Currency)
}

// run sends all requests of the person.
func (p *person) run(ctx context.Context, last *lastBooking) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"log in", p.logIn},
		{"choose an event", p.chooseEvent},
		{"book", func(ctx context.Context) error { return p.book(ctx, last) }},
		{"read the bookings", p.readBookings},
		{"confirm one booking and cancel the other", p.confirmAndCancel},
		{"log out", p.logOut},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// logIn registers the person, logs them in and refreshes the session.
func (p *person) logIn(ctx context.Context) error {
	const password = "correct horse battery staple"
	var login authapi.Login
	body := map[string]string{"email": p.email, "password": password, "name": p.name}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/register", body: body, want: 201}, &login); err != nil {
		return err
	}
	body = map[string]string{"email": p.email, "password": password}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/login", body: body, want: 200}, &login); err != nil {
		return err
	}
	p.token = login.Tokens.AccessToken
	var me authapi.User
	if err := p.call(ctx, request{method: "GET", path: "/api/auth/me", want: 200}, &me); err != nil {
		return err
	}
	if me.Email != p.email {
		return fmt.Errorf("/api/auth/me: got %s, want %s", me.Email, p.email)
	}
	var refreshed authapi.Refreshed
	body = map[string]string{"refreshToken": login.Tokens.RefreshToken}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/refresh", body: body, want: 200}, &refreshed); err != nil {
		return err
	}
	p.token, p.refreshToken = refreshed.Tokens.AccessToken, refreshed.Tokens.RefreshToken
	return nil
}

// chooseEvent chooses the first event of the season in the person's category that
// is on sale. It ignores events that are not part of the season.
func (p *person) chooseEvent(ctx context.Context) error {
	query := url.Values{"category": {p.category}, "status": {eventapi.StatusPublished}, "from": {time.Now().UTC().Format(time.RFC3339)}, "limit": {"100"}}
	var events page[eventapi.Event]
	if err := p.call(ctx, request{method: "GET", path: "/api/events?" + query.Encode(), want: 200}, &events); err != nil {
		return err
	}
	for _, e := range events.Data {
		if !p.season[season.Key(e.Name, value(e.Venue))] || !isOnSale(e, time.Now()) {
			continue
		}
		path := "/api/events/" + e.ID
		if err := p.call(ctx, request{method: "GET", path: path, want: 200}, &p.event); err != nil {
			return err
		}
		var seats eventapi.Availability
		if err := p.call(ctx, request{method: "GET", path: path + "/availability", want: 200}, &seats); err != nil {
			return err
		}
		if seats.Available+seats.Held+seats.Sold != seats.Capacity {
			return fmt.Errorf("the seats of %s do not add up to its capacity: %+v", e.Name, seats)
		}
		return nil
	}
	return fmt.Errorf("no event in the category %s has %d seats on sale", p.category, minSeats)
}

// isOnSale reports whether a person may book three seats of e now and e has at least
// minSeats available.
func isOnSale(e eventapi.Event, now time.Time) bool {
	return e.Available >= minSeats && (e.MaxPerUser == nil || *e.MaxPerUser >= 3) &&
		(e.SalesStartAt == nil || !now.Before(e.SalesStartAt.Time)) &&
		(e.SalesEndAt == nil || now.Before(e.SalesEndAt.Time))
}

// book creates two bookings.
func (p *person) book(ctx context.Context, last *lastBooking) error {
	for _, want := range []struct {
		quantity int64
		booking  *bookingapi.Booking
	}{{1, &p.cancelled}, {2, &p.confirmed}} {
		body := map[string]any{"eventId": p.event.ID, "quantity": want.quantity}
		if err := p.call(ctx, request{method: "POST", path: "/api/bookings", body: body, want: 201}, want.booking); err != nil {
			return err
		}
		if b := want.booking; b.Status != bookingapi.StatusPending || b.TotalPrice != p.event.Price.Times(want.quantity) {
			return fmt.Errorf("%d × %s: got %+v", want.quantity, price(p.event), *b)
		}
		last.set(p, *want.booking)
	}
	return nil
}

// readBookings reads one booking and the person's list, newest first.
func (p *person) readBookings(ctx context.Context) error {
	var booking bookingapi.Booking
	if err := p.call(ctx, request{method: "GET", path: "/api/bookings/" + p.confirmed.ID, want: 200}, &booking); err != nil {
		return err
	}
	if booking.Code != p.confirmed.Code {
		return fmt.Errorf("got booking %s, want %s", booking.Code, p.confirmed.Code)
	}
	var own page[bookingapi.Booking]
	if err := p.call(ctx, request{method: "GET", path: "/api/bookings/me", want: 200}, &own); err != nil {
		return err
	}
	if len(own.Data) != 2 || own.Data[0].ID != p.confirmed.ID || own.Data[1].ID != p.cancelled.ID {
		return fmt.Errorf("list of own bookings: got %+v, want %s and %s", own.Data, p.confirmed.Code, p.cancelled.Code)
	}
	return nil
}

// confirmAndCancel confirms one booking and cancels the other.
func (p *person) confirmAndCancel(ctx context.Context) error {
	path := "/api/bookings/" + p.confirmed.ID + "/confirm"
	body := map[string]string{"paymentReference": "demo-" + p.confirmed.Code}
	if err := p.call(ctx, request{method: "POST", path: path, body: body, want: 200}, &p.confirmed); err != nil {
		return err
	}
	path = "/api/bookings/" + p.cancelled.ID + "/cancel"
	if err := p.call(ctx, request{method: "POST", path: path, want: 200}, &p.cancelled); err != nil {
		return err
	}
	if p.confirmed.Status != bookingapi.StatusConfirmed || p.cancelled.Status != bookingapi.StatusCancelled {
		return fmt.Errorf("got bookings %s and %s, want confirmed and cancelled", p.confirmed.Status, p.cancelled.Status)
	}
	return nil
}

// logOut logs the person out and checks that the access token is no longer valid.
func (p *person) logOut(ctx context.Context) error {
	body := map[string]string{"refreshToken": p.refreshToken}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/logout", body: body, want: 200}, nil); err != nil {
		return err
	}
	return p.call(ctx, request{method: "GET", path: "/api/auth/me", want: 401}, nil)
}

// printBookings prints, for each event that was booked, the number of bookings in the
// admin's list.
func (d *demo) printBookings(ctx context.Context, admin *client, people []*person) error {
	byEvent := map[string][]*person{}
	for _, p := range people {
		byEvent[p.event.ID] = append(byEvent[p.event.ID], p)
	}
	d.printf("\nbookings of each event, as the admin lists them\n")
	for _, p := range people {
		bookers := byEvent[p.event.ID]
		if bookers[0] != p { // the event has been printed
			continue
		}
		var all page[bookingapi.Booking]
		query := url.Values{"eventId": {p.event.ID}, "limit": {"100"}}
		if err := admin.call(ctx, request{method: "GET", path: "/api/bookings?" + query.Encode(), want: 200}, &all); err != nil {
			return err
		}
		if all.Page.Total == nil || *all.Page.Total < int64(2*len(bookers)) {
			return fmt.Errorf("total of the admin's bookings of %s: got %+v, want at least %d", p.event.Name, all.Page, 2*len(bookers))
		}
		d.printf("  %-28s %-28s %d bookings\n", p.event.Name, value(p.event.Venue), *all.Page.Total)
	}
	return nil
}

// value returns *s, or "" for nil.
func value(s *string) string { return *cmp.Or(s, new(string)) }
