package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/stack"
)

const (
	manyEvents = 200
	// ampleSeats is more than a run can book, and the most that the API accepts.
	ampleSeats = 1_000_000
)

// fixtures are the accounts and events that the rungs use.
type fixtures struct {
	tokens  []string // access tokens, one for each caller
	logIns  [][]byte // bodies of log-in requests, one for each caller; no other rung uses their accounts
	spread  []string // ids of manyEvents events
	all     []string // ids of all events of the setting -events, those of spread first
	terms   []string // for each event of all, a word that only its name contains
	hot     string   // id of the event of the rung hotRung
	soldOut string   // id of an event without available seats
}

// createFixtures creates accounts and events through the API.
func createFixtures(ctx context.Context, s *stack.Stack, gateway *server, callers, events int) (*fixtures, error) {
	f := &fixtures{}
	c := &caller{}
	for i := range callers {
		var login authapi.Login
		if err := gateway.post(ctx, c, "/api/auth/register", "", account(), http.StatusCreated, &login); err != nil {
			return nil, err
		}
		f.tokens = append(f.tokens, login.Tokens.AccessToken)
		forLogIns := account()
		if err := gateway.post(ctx, c, "/api/auth/register", "", forLogIns, http.StatusCreated, nil); err != nil {
			return nil, err
		}
		body, err := json.Marshal(map[string]string{"email": forLogIns["email"], "password": forLogIns["password"]})
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", i, err)
		}
		f.logIns = append(f.logIns, body)
	}
	admin, err := logIn(ctx, s, gateway, c)
	if err != nil {
		return nil, err
	}
	createEvent := func(capacity int64) (string, error) {
		var event eventapi.Event
		err := gateway.post(ctx, c, "/api/events", admin, eventDefinition(capacity), http.StatusCreated, &event)
		return event.ID, err
	}
	if err := f.createEvents(ctx, gateway, admin, events); err != nil {
		return nil, err
	}
	f.spread = f.all[:manyEvents]
	if f.hot, err = createEvent(ampleSeats); err != nil {
		return nil, err
	}
	if f.soldOut, err = createEvent(1); err != nil {
		return nil, err
	}
	return f, gateway.post(ctx, c, "/api/bookings", f.tokens[0], order(f.soldOut), http.StatusCreated, nil)
}

// createEvents creates n events, several at a time.
func (f *fixtures) createEvents(ctx context.Context, gateway *server, admin string, n int) error {
	workers := min(8, gateway.http.MaxConns) // of which each uses one connection
	f.all, f.terms = make([]string, n), make([]string, n)
	failed := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c := &caller{}
			for i := w; i < n && failed[w] == nil; i += workers {
				var event eventapi.Event
				body := eventDefinition(ampleSeats)
				f.terms[i] = stack.Unique("norma")[len("norma-"):]
				body.Name = "Norma " + f.terms[i]
				failed[w] = gateway.post(ctx, c, "/api/events", admin, body, http.StatusCreated, &event)
				f.all[i] = event.ID
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// logIn returns an access token of the admin.
func logIn(ctx context.Context, s *stack.Stack, gateway *server, c *caller) (token string, err error) {
	var login authapi.Login
	body := map[string]string{"email": s.AdminEmail, "password": s.AdminPassword}
	err = gateway.post(ctx, c, "/api/auth/login", "", body, http.StatusOK, &login)
	return login.Tokens.AccessToken, err
}

// account returns a registration request for a new account.
func account() map[string]string {
	return map[string]string{"email": stack.Address(), "password": stack.Password, "name": "Ada"}
}

func eventDefinition(capacity int64) eventapi.Definition {
	start := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	return eventapi.Definition{
		Name: stack.Unique("Norma"), StartsAt: contract.At(start), EndsAt: contract.At(start.Add(3 * time.Hour)),
		Capacity: capacity, Price: &contract.Money{Amount: 2500, Currency: "EUR"},
	}
}

// order returns a request to book one seat of an event.
func order(event string) map[string]any { return map[string]any{"eventId": event, "quantity": 1} }

// post sends a request that is not measured and decodes the response into v, which may
// be nil.
func (s *server) post(ctx context.Context, c *caller, path, token string, body any, status int, v any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	s.prepare(c, http.MethodPost, path, token, data)
	if err := s.send(c, response{status: status}); err != nil || v == nil {
		return err
	}
	return json.Unmarshal(c.res.Body(), v)
}
