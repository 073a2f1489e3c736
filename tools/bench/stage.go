package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/stack"
)

const (
	manyEvents = 200
	// ample is more seats than a run can book; the API takes no more.
	ample = 1_000_000
)

// stage is the accounts and events that the rungs use, made through the API.
type stage struct {
	tokens  []string // one for each caller
	logIns  [][]byte // bodies, one for each caller, of accounts that do nothing else
	spread  []string // events
	hot     string
	soldOut string
}

// setStage makes them.
func setStage(ctx context.Context, s *stack.Stack, edge *server, callers int) (*stage, error) {
	set := &stage{}
	c := &caller{}
	for i := range callers {
		var in authapi.Login
		if err := edge.post(ctx, c, "/api/auth/register", "", account(), http.StatusCreated, &in); err != nil {
			return nil, err
		}
		set.tokens = append(set.tokens, in.Tokens.AccessToken)
		who := account()
		if err := edge.post(ctx, c, "/api/auth/register", "", who, http.StatusCreated, nil); err != nil {
			return nil, err
		}
		body, err := json.Marshal(map[string]string{"email": who["email"], "password": who["password"]})
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", i, err)
		}
		set.logIns = append(set.logIns, body)
	}
	admin, err := logIn(ctx, s, edge, c)
	if err != nil {
		return nil, err
	}
	make := func(capacity int64) (string, error) {
		var made eventapi.Event
		err := edge.post(ctx, c, "/api/events", admin, evening(capacity), http.StatusCreated, &made)
		return made.ID, err
	}
	for range manyEvents {
		id, err := make(ample)
		if err != nil {
			return nil, err
		}
		set.spread = append(set.spread, id)
	}
	if set.hot, err = make(ample); err != nil {
		return nil, err
	}
	if set.soldOut, err = make(1); err != nil {
		return nil, err
	}
	return set, edge.post(ctx, c, "/api/bookings", set.tokens[0], order(set.soldOut), http.StatusCreated, nil)
}

func logIn(ctx context.Context, s *stack.Stack, edge *server, c *caller) (token string, err error) {
	var in authapi.Login
	body := map[string]string{"email": s.AdminEmail, "password": s.AdminPassword}
	err = edge.post(ctx, c, "/api/auth/login", "", body, http.StatusOK, &in)
	return in.Tokens.AccessToken, err
}

func account() map[string]string {
	return map[string]string{"email": stack.Address(), "password": stack.Password, "name": "Ada"}
}

func evening(capacity int64) eventapi.Definition {
	start := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	return eventapi.Definition{
		Name: stack.Unique("Norma"), StartsAt: contract.At(start), EndsAt: contract.At(start.Add(3 * time.Hour)),
		Capacity: capacity, Price: &contract.Money{Amount: 2500, Currency: "EUR"},
	}
}

func order(event string) map[string]any { return map[string]any{"eventId": event, "quantity": 1} }

// post sends a request that is not measured, and decodes its answer into v, which
// may be nil.
func (s *server) post(ctx context.Context, c *caller, path, token string, body any, status int, v any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	s.prepare(c, http.MethodPost, path, token, data)
	if err := s.ask(c, answer{status: status}); err != nil || v == nil {
		return err
	}
	return json.Unmarshal(c.res.Body(), v)
}
