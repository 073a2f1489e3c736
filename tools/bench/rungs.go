package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"boxoffice/shared/contract/eventapi"
)

// Names of the rungs that others are compared with.
const (
	hopRung    = "Dapr hop"
	hotRung    = "booking, one hot event"
	spreadRung = "booking, 200 events"
)

const tokenHeader = "dapr-api-token"

// ladder is all rungs, in the order in which a round measures them.
func (b *bench) ladder() []rung {
	keys := []byte(`"keys":`)
	return []rung{
		{
			name: "Fiber hello", what: "GET of a constant from a bare Fiber server in a process of its own",
			ask: func(c *caller) error {
				b.hello.prepare(c, http.MethodGet, "/", "", nil)
				return b.hello.ask(c, answer{http.StatusOK, []byte(helloBody)})
			},
		},
		{
			name: "direct HTTP", what: "auth.jwks asked of auth's own port, without a sidecar",
			ask: operation(b.auth, "/auth.jwks", b.stack.AppToken, answer{http.StatusOK, keys}),
		},
		{
			name: "NATS request/reply", what: "a request and a reply of the size of auth.jwks over the stack's NATS",
			ask: b.request,
		},
		{
			name: hopRung, what: "auth.jwks asked of the gateway's sidecar: two sidecars and auth",
			ask: operation(b.hop, "/v1.0/invoke/auth/method/auth.jwks", b.stack.APIToken, answer{http.StatusOK, keys}),
		},
		{
			name: "GET event", what: "GET /api/events/{id}, 200 events in turn, without a token",
			ask: b.fetch(),
		},
		{
			name: "authenticated GET", what: "GET /api/auth/me: token, session, limit, and nothing behind",
			ask: func(c *caller) error {
				b.edge.prepare(c, http.MethodGet, "/api/auth/me", b.set.tokens[c.n], nil)
				return b.edge.ask(c, answer{http.StatusOK, []byte(`"email"`)})
			},
		},
		{
			name: "log-in", what: "POST /api/auth/login, each client with its own account",
			ask: func(c *caller) error {
				b.edge.prepare(c, http.MethodPost, "/api/auth/login", "", b.set.logIns[c.n])
				return b.edge.ask(c, answer{http.StatusOK, []byte(`"accessToken"`)})
			},
		},
		{
			name: hotRung, what: "POST /api/bookings under a new Idempotency-Key, all for one event", books: true,
			ask: b.book([]string{b.set.hot}, true, booked),
		},
		{
			name: spreadRung, what: "the same, for 200 events in turn", books: true,
			ask: b.book(b.set.spread, true, booked),
		},
		{
			name: "sold out", what: "the same refused, without a key, as most clients ask",
			ask: b.book([]string{b.set.soldOut}, false, soldOut),
		},
		{
			name: "sold out, keyed", what: "the same refused, under a new Idempotency-Key",
			ask: b.book([]string{b.set.soldOut}, true, soldOut),
		},
	}
}

var (
	booked  = answer{http.StatusCreated, []byte(`"status":"pending"`)}
	soldOut = answer{http.StatusConflict, []byte(`"` + eventapi.ReasonSoldOut + `"`)}
)

// message is the envelope of a request, as the gateway sends it.
func message() []byte {
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	return []byte(`{"messageId":"0123456789ABCDEFGHIJKLMNOP","timestamp":"` + at + `","data":{}}`)
}

// operation asks for one without going through the gateway.
func operation(s *server, path, token string, want answer) func(*caller) error {
	body := message()
	return func(c *caller) error {
		s.prepare(c, http.MethodPost, path, "", body)
		c.req.Header.Set(tokenHeader, token)
		return s.ask(c, want)
	}
}

func (b *bench) fetch() func(*caller) error {
	var turn atomic.Int64
	return func(c *caller) error {
		id := b.set.spread[int(turn.Add(1))%len(b.set.spread)]
		b.edge.prepare(c, http.MethodGet, "/api/events/"+id, "", nil)
		return b.edge.ask(c, answer{http.StatusOK, []byte(id)})
	}
}

// book asks for a seat of the events in turn.
func (b *bench) book(events []string, keyed bool, want answer) func(*caller) error {
	var turn atomic.Int64
	bodies := make([][]byte, len(events))
	for i, id := range events {
		bodies[i], _ = json.Marshal(order(id)) // strings and a number
	}
	return func(c *caller) error {
		b.edge.prepare(c, http.MethodPost, "/api/bookings", b.set.tokens[c.n], bodies[int(turn.Add(1))%len(bodies)])
		if keyed {
			c.req.Header.Set("Idempotency-Key", fmt.Sprintf("bench-%d-%d", c.n, c.sent))
		}
		return b.edge.ask(c, want)
	}
}

// request asks the peer over NATS.
func (b *bench) request(*caller) error {
	msg, err := b.nats.Request(natsSubject, message(), answerWithin)
	if err != nil {
		return fmt.Errorf("NATS request: %w", err)
	}
	if !bytes.Contains(msg.Data, []byte(natsReply)) {
		return fmt.Errorf("NATS request: got %.300s", msg.Data)
	}
	return nil
}
