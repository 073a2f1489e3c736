package sessioncache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/authapi"
)

// Limit is a bucket: it holds Requests, and fills up again evenly within Period.
type Limit struct {
	Bucket   string // browse, write, login
	Subject  string // whose it is: a user's id or a client's address
	Requests int
	Period   time.Duration
}

func (l Limit) key() string { return "limit:" + l.Bucket + ":" + l.Subject }

// Counted is what a bucket says to a request. Of several buckets it is the one
// that refuses longest, else the one with the least left.
type Counted struct {
	Index     int // of the bucket among those asked for
	Refused   bool
	Remaining int           // requests that would pass now
	Full      time.Duration // until the bucket is full again
	Retry     time.Duration // until the next request would pass, when refused
}

// Question is what a request wants to know. Without a SessionID only the limits
// are looked at; no limits at all is fine.
type Question struct {
	Limits    []Limit // each with at least one request and a period of a millisecond
	SessionID string
	UserID    string
}

// Look counts a request and says what is known of its session, in one round
// trip. A request that a limit refuses takes nothing from any bucket and learns
// nothing else: Known is empty then.
//
// The caller still compares the session's user and its end: a session past its
// end, like one that is not known, is asked about at auth.session.check.
func (c *Cache) Look(ctx context.Context, q Question) (Counted, Known, error) {
	keys := make([]string, 0, 2+len(q.Limits))
	lease := ""
	if q.SessionID == "" {
		keys = append(keys, "", "")
	} else {
		keys = append(keys, sessionKey(q.SessionID), userKey(q.UserID))
		lease = c.nonce()
	}
	args := make([]any, 0, 2+2*len(q.Limits))
	args = append(args, lease, leaseFor.Milliseconds())
	for _, l := range q.Limits {
		if l.Requests < 1 || l.Period < time.Millisecond {
			return Counted{}, Known{}, fmt.Errorf("look: limit %s of %d in %s", l.Bucket, l.Requests, l.Period)
		}
		keys = append(keys, l.key())
		args = append(args, l.Requests, l.Period.Microseconds())
	}
	reply, err := lookScript.Run(ctx, c.redis, keys, args...).Slice()
	if err != nil {
		return Counted{}, Known{}, fmt.Errorf("look: %w", err)
	}
	counted, session, user, err := parseReply(reply)
	if err != nil {
		return Counted{}, Known{}, fmt.Errorf("look: %w", err)
	}
	if session == tombstone {
		return counted, Known{Ended: true}, nil
	}
	return counted, Known{Session: decode[authapi.Session](session), User: decode[authapi.User](user), Lease: lease}, nil
}

func parseReply(reply []any) (c Counted, session, user string, err error) {
	const numbers = 5
	if len(reply) != numbers+2 {
		return c, "", "", fmt.Errorf("a reply of %d parts", len(reply))
	}
	var n [numbers]int64
	for i := range n {
		var ok bool
		if n[i], ok = reply[i].(int64); !ok {
			return c, "", "", fmt.Errorf("part %d of the reply is a %T", i, reply[i])
		}
	}
	session, ok := reply[numbers].(string)
	user, ok2 := reply[numbers+1].(string)
	if !ok || !ok2 {
		return c, "", "", errors.New("the reply holds no texts")
	}
	return Counted{
		Index: int(n[0]), Refused: n[1] == 1, Remaining: int(n[2]),
		Full: time.Duration(n[3]) * time.Microsecond, Retry: time.Duration(n[4]) * time.Microsecond,
	}, session, user, nil
}
