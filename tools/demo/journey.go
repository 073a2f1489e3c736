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

// enough seats for all who play, in each of whose bookings are at most three.
const enough = 20

// person is somebody who registers, books and leaves.
type person struct {
	name, category string

	*client
	season         map[string]bool // the keys of the events that may be booked
	email, refresh string
	event          eventapi.Event
	kept, dropped  bookingapi.Booking
}

// cast is who plays. Two of them want the same event. The last comes when the others
// are gone: of those who book together, some share a part of their traces.
func cast(d *demo, events []season.Event) []*person {
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
		p.client, p.season = d.guest(), keys
		p.email = strings.ToLower(p.name+"-"+rand.Text()[:12]) + "@example.org"
	}
	return people
}

// latest is the booking that was answered last, of all.
type latest struct {
	mu      sync.Mutex
	who     string
	event   string
	booking bookingapi.Booking
	trace   string
}

func (l *latest) set(p *person, b bookingapi.Booking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who, l.event, l.booking, l.trace = p.name, p.event.Name, b, p.last.trace
}

// play lets all but one go their way at once, then that one, and then the admin look
// at what they booked.
func (d *demo) play(ctx context.Context, boss *client, events []season.Event) (*latest, error) {
	people, last := cast(d, events), &latest{}
	crowd := len(people) - 1
	d.say("%d people book at once, and then one more\n", crowd)
	failed := make([]error, len(people))
	play := func(i int) {
		if err := people[i].play(ctx, last); err != nil {
			failed[i] = fmt.Errorf("%s: %w", people[i].name, err)
		}
	}
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { play(i) })
	}
	wg.Wait()
	play(crowd)
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	for _, p := range people {
		d.say("  %-8s %-28s %d × %-12s %s confirmed, %s cancelled\n",
			p.name, p.event.Name, p.kept.Quantity, price(p.event), p.kept.Code, p.dropped.Code)
	}
	return last, d.review(ctx, boss, people)
}

func price(e eventapi.Event) string {
	return fmt.Sprintf("%d.%02d %s", e.Price.Amount/100, e.Price.Amount%100, e.Price.Currency)
}

// play is one person's way through the API.
func (p *person) play(ctx context.Context, last *latest) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"come in", p.comeIn},
		{"look around", p.lookAround},
		{"book", func(ctx context.Context) error { return p.book(ctx, last) }},
		{"read what was booked", p.readBack},
		{"confirm one, cancel the other", p.decide},
		{"leave", p.leave},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (p *person) comeIn(ctx context.Context) error {
	const password = "correct horse battery staple"
	var in authapi.Login
	body := map[string]string{"email": p.email, "password": password, "name": p.name}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/register", body: body, want: 201}, &in); err != nil {
		return err
	}
	body = map[string]string{"email": p.email, "password": password}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/login", body: body, want: 200}, &in); err != nil {
		return err
	}
	p.token = in.Tokens.AccessToken
	var me authapi.User
	if err := p.call(ctx, request{method: "GET", path: "/api/auth/me", want: 200}, &me); err != nil {
		return err
	}
	if me.Email != p.email {
		return fmt.Errorf("me is %s and not %s", me.Email, p.email)
	}
	var next authapi.Refreshed
	body = map[string]string{"refreshToken": in.Tokens.RefreshToken}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/refresh", body: body, want: 200}, &next); err != nil {
		return err
	}
	p.token, p.refresh = next.Tokens.AccessToken, next.Tokens.RefreshToken
	return nil
}

// lookAround picks the first event of the category that sells enough seats. What
// others have made is left alone.
func (p *person) lookAround(ctx context.Context) error {
	query := url.Values{"category": {p.category}, "status": {eventapi.StatusPublished}, "from": {time.Now().UTC().Format(time.RFC3339)}, "limit": {"100"}}
	var page list[eventapi.Event]
	if err := p.call(ctx, request{method: "GET", path: "/api/events?" + query.Encode(), want: 200}, &page); err != nil {
		return err
	}
	for _, e := range page.Data {
		if !p.season[season.Key(e.Name, value(e.Venue))] || !sells(e, time.Now()) {
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
			return fmt.Errorf("the seats of %s do not add up: %+v", e.Name, seats)
		}
		return nil
	}
	return fmt.Errorf("no event in %s sells %d seats", p.category, enough)
}

func sells(e eventapi.Event, now time.Time) bool {
	return e.Available >= enough && (e.MaxPerUser == nil || *e.MaxPerUser >= 3) &&
		(e.SalesStartAt == nil || !now.Before(e.SalesStartAt.Time)) &&
		(e.SalesEndAt == nil || now.Before(e.SalesEndAt.Time))
}

func (p *person) book(ctx context.Context, last *latest) error {
	for _, want := range []struct {
		quantity int64
		booking  *bookingapi.Booking
	}{{1, &p.dropped}, {2, &p.kept}} {
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

func (p *person) readBack(ctx context.Context) error {
	var read bookingapi.Booking
	if err := p.call(ctx, request{method: "GET", path: "/api/bookings/" + p.kept.ID, want: 200}, &read); err != nil {
		return err
	}
	if read.Code != p.kept.Code {
		return fmt.Errorf("booking %s reads as %s", p.kept.Code, read.Code)
	}
	var own list[bookingapi.Booking]
	if err := p.call(ctx, request{method: "GET", path: "/api/bookings/me", want: 200}, &own); err != nil {
		return err
	}
	if len(own.Data) != 2 || own.Data[0].ID != p.kept.ID || own.Data[1].ID != p.dropped.ID {
		return fmt.Errorf("the own list is %+v", own.Data)
	}
	return nil
}

func (p *person) decide(ctx context.Context) error {
	path := "/api/bookings/" + p.kept.ID + "/confirm"
	body := map[string]string{"paymentReference": "demo-" + p.kept.Code}
	if err := p.call(ctx, request{method: "POST", path: path, body: body, want: 200}, &p.kept); err != nil {
		return err
	}
	path = "/api/bookings/" + p.dropped.ID + "/cancel"
	if err := p.call(ctx, request{method: "POST", path: path, want: 200}, &p.dropped); err != nil {
		return err
	}
	if p.kept.Status != bookingapi.StatusConfirmed || p.dropped.Status != bookingapi.StatusCancelled {
		return fmt.Errorf("the bookings are %s and %s", p.kept.Status, p.dropped.Status)
	}
	return nil
}

func (p *person) leave(ctx context.Context) error {
	body := map[string]string{"refreshToken": p.refresh}
	if err := p.call(ctx, request{method: "POST", path: "/api/auth/logout", body: body, want: 200}, nil); err != nil {
		return err
	}
	return p.call(ctx, request{method: "GET", path: "/api/auth/me", want: 401}, nil)
}

// review is the admin's look at each event that was booked.
func (d *demo) review(ctx context.Context, boss *client, people []*person) error {
	kept := map[string][]*person{}
	for _, p := range people {
		kept[p.event.ID] = append(kept[p.event.ID], p)
	}
	d.say("\nthe admin's list of bookings\n")
	for _, p := range people {
		of := kept[p.event.ID]
		if of[0] != p {
			continue
		}
		var all list[bookingapi.Booking]
		query := url.Values{"eventId": {p.event.ID}, "limit": {"100"}}
		if err := boss.call(ctx, request{method: "GET", path: "/api/bookings?" + query.Encode(), want: 200}, &all); err != nil {
			return err
		}
		if all.Page.Total == nil || *all.Page.Total < int64(2*len(of)) {
			return fmt.Errorf("the admin's list of %s has no total of its bookings: %+v", p.event.Name, all.Page)
		}
		d.say("  %-28s %-28s %d in all\n", p.event.Name, value(p.event.Venue), *all.Page.Total)
	}
	return nil
}

func value(s *string) string { return *cmp.Or(s, new(string)) }
