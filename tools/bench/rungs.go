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

// Names of the rungs that other parts of the bench refer to.
const (
	hopRung    = "Dapr hop"
	hotRung    = "booking, one hot event"
	spreadRung = "booking, 200 events"
)

const tokenHeader = "dapr-api-token"

// ladder returns all rungs in the order in which a round measures them.
func (b *bench) ladder() []rung {
	keys := []byte(`"keys":`)
	return []rung{
		{
			name: "Fiber hello", description: "GET of a constant from a bare Fiber server in its own process",
			send: func(c *caller) error {
				b.peer.prepare(c, http.MethodGet, "/", "", nil)
				return b.peer.send(c, response{http.StatusOK, []byte(helloBody)})
			},
		},
		{
			name: "direct HTTP", description: "auth.jwks sent to auth's own port, without a sidecar",
			send: operation(b.auth, "/auth.jwks", b.appToken, response{http.StatusOK, keys}),
		},
		{
			name: "NATS request/reply", description: "a request and a reply of the size of auth.jwks over the stack's NATS",
			send: b.requestOverNATS,
		},
		{
			name: hopRung, description: "auth.jwks sent to the gateway's sidecar: two sidecars and auth",
			send: operation(b.sidecar, "/v1.0/invoke/auth/method/auth.jwks", b.apiToken, response{http.StatusOK, keys}),
		},
		{
			name: "GET event", description: "GET /api/events/{id}, 200 events in turn, without a token; mostly from the gateway's cache",
			send: b.getEvent(b.fixtures.spread),
		},
		{
			name: "GET event, cached", description: "the same for one event: all but one answer a second from the gateway's cache",
			send: b.getEvent(b.fixtures.spread[:1]),
		},
		{
			name: "GET event, uncached", description: fmt.Sprintf("the same for %d events in turn", len(b.fixtures.all)),
			send: b.getEvent(b.fixtures.all),
		},
		{
			name: "list", description: fmt.Sprintf("GET /api/events, the first 20 of %d, each time with another bound of startsAt", len(b.fixtures.all)),
			send: b.listEvents(),
		},
		{
			name: "search", description: fmt.Sprintf("GET /api/events/search/{term} for the names of %d events in turn", len(b.fixtures.all)),
			send: b.searchEvents(),
		},
		{
			name: "authenticated GET", description: "GET /api/auth/me: rate limit, token and session, without a call to an app",
			send: func(c *caller) error {
				b.gateway.prepare(c, http.MethodGet, "/api/auth/me", b.fixtures.tokens[c.n], nil)
				return b.gateway.send(c, response{http.StatusOK, []byte(`"email"`)})
			},
		},
		{
			name: "log-in", description: "POST /api/auth/login, each client with its own account",
			send: func(c *caller) error {
				b.gateway.prepare(c, http.MethodPost, "/api/auth/login", "", b.fixtures.logIns[c.n])
				return b.gateway.send(c, response{http.StatusOK, []byte(`"accessToken"`)})
			},
		},
		{
			name: hotRung, description: "POST /api/bookings under a new Idempotency-Key, all for one event", publishesFacts: true,
			send: b.book([]string{b.fixtures.hot}, true, booked),
		},
		{
			name: spreadRung, description: "the same for 200 events in turn", publishesFacts: true,
			send: b.book(b.fixtures.spread, true, booked),
		},
		{
			name: "sold out", description: "the same, refused, without a key",
			send: b.book([]string{b.fixtures.soldOut}, false, soldOut),
		},
		{
			name: "sold out, keyed", description: "the same, refused, under a new Idempotency-Key",
			send: b.book([]string{b.fixtures.soldOut}, true, soldOut),
		},
	}
}

var (
	booked  = response{http.StatusCreated, []byte(`"status":"pending"`)}
	soldOut = response{http.StatusConflict, []byte(`"` + eventapi.ReasonSoldOut + `"`)}
)

// envelope returns a request in the envelope that the gateway sends.
func envelope() []byte {
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	return []byte(`{"messageId":"0123456789ABCDEFGHIJKLMNOP","timestamp":"` + at + `","data":{}}`)
}

// operation returns a function that calls an operation without the gateway.
func operation(s *server, path, token string, want response) func(*caller) error {
	body := envelope()
	return func(c *caller) error {
		s.prepare(c, http.MethodPost, path, "", body)
		c.req.Header.Set(tokenHeader, token)
		return s.send(c, want)
	}
}

// listEvents returns a function that lists events. No two requests are equal, so no cache
// has the answers.
func (b *bench) listEvents() func(*caller) error {
	var turn atomic.Int64
	return func(c *caller) error {
		from := time.Unix(1_700_000_000+turn.Add(1), 0).UTC().Format(time.RFC3339)
		b.gateway.prepare(c, http.MethodGet, "/api/events?from="+from, "", nil)
		return b.gateway.send(c, response{http.StatusOK, []byte(`"nextCursor":"`)})
	}
}

// searchEvents returns a function that searches for the name of one event after another.
func (b *bench) searchEvents() func(*caller) error {
	var turn atomic.Int64
	return func(c *caller) error {
		i := int(turn.Add(1)) % len(b.fixtures.all)
		b.gateway.prepare(c, http.MethodGet, "/api/events/search/"+b.fixtures.terms[i], "", nil)
		return b.gateway.send(c, response{http.StatusOK, []byte(b.fixtures.all[i])})
	}
}

// getEvent returns a function that reads events in turn.
func (b *bench) getEvent(ids []string) func(*caller) error {
	var turn atomic.Int64
	return func(c *caller) error {
		id := ids[int(turn.Add(1))%len(ids)]
		b.gateway.prepare(c, http.MethodGet, "/api/events/"+id, "", nil)
		return b.gateway.send(c, response{http.StatusOK, []byte(id)})
	}
}

// book returns a function that books one seat of each event in turn. If keyed is true,
// each request has a new Idempotency-Key.
func (b *bench) book(events []string, keyed bool, want response) func(*caller) error {
	var turn atomic.Int64
	bodies := make([][]byte, len(events))
	for i, id := range events {
		bodies[i], _ = json.Marshal(order(id)) // cannot fail: strings and a number
	}
	return func(c *caller) error {
		b.gateway.prepare(c, http.MethodPost, "/api/bookings", b.fixtures.tokens[c.n], bodies[int(turn.Add(1))%len(bodies)])
		if keyed {
			c.req.Header.Set("Idempotency-Key", fmt.Sprintf("bench-%d-%d", c.n, c.sent))
		}
		return b.gateway.send(c, want)
	}
}

// requestOverNATS sends a request to the peer over NATS.
func (b *bench) requestOverNATS(*caller) error {
	msg, err := b.nats.Request(natsSubject, envelope(), requestTimeout)
	if err != nil {
		return fmt.Errorf("NATS request: %w", err)
	}
	if !bytes.Contains(msg.Data, []byte(natsReply)) {
		return fmt.Errorf("NATS request: got %.300s", msg.Data)
	}
	return nil
}
