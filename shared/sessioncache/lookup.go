package sessioncache

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/ratelimit"
)

// Request describes a request of a client to Lookup.
type Request struct {
	Limits    []ratelimit.Limit // limits to count the request against; may be empty
	SessionID string            // empty if there is no session to look up
	UserID    string            // the user of that session
}

// Entry is what the cache holds about a session and its user.
type Entry struct {
	Session *authapi.Session // nil if not cached
	Ended   bool             // the session has ended for good
	User    *authapi.User    // nil if not cached, or older than the version that Session was read with
	Lease   string           // to be passed to auth.session.check if Session or User is nil
}

// Lookup counts a request against its limits and returns the cache entry of its
// session, in one round trip. A request that a limit refuses is counted against
// none, and its entry is empty.
//
// Lookup compares neither the session's user nor its expiry with the request. The
// caller does, and treats a session past its expiry like one that is not cached.
func (c *Cache) Lookup(ctx context.Context, req Request) (ratelimit.Decision, Entry, error) {
	keys := make([]string, 0, sessionKeys+len(req.Limits))
	lease := ""
	if req.SessionID == "" {
		keys = append(keys, "", "")
	} else {
		keys = append(keys, sessionKey(req.SessionID), userKey(req.UserID))
		lease = c.nonce()
	}
	args := make([]any, 0, sessionArgs+2*len(req.Limits))
	args = append(args, lease, leaseTTL.Milliseconds())
	keys, args, err := ratelimit.Append(keys, args, req.Limits)
	if err != nil {
		return ratelimit.Decision{}, Entry{}, fmt.Errorf("look up session: %w", err)
	}
	reply, err := lookupScript.Run(ctx, c.redis, keys, args...).Slice()
	if err != nil {
		return ratelimit.Decision{}, Entry{}, fmt.Errorf("look up session: %w", err)
	}
	decision, session, user, err := parseReply(reply)
	if err != nil {
		return ratelimit.Decision{}, Entry{}, fmt.Errorf("look up session: %w", err)
	}
	if session == tombstone {
		return decision, Entry{Ended: true}, nil
	}
	return decision, Entry{Session: decode[authapi.Session](session), User: decode[authapi.User](user), Lease: lease}, nil
}

// parseReply parses what lookupScript returns.
func parseReply(reply []any) (d ratelimit.Decision, session, user string, err error) {
	if want := ratelimit.Numbers + 2; len(reply) != want {
		return d, "", "", fmt.Errorf("reply has %d elements, want %d", len(reply), want)
	}
	if d, err = ratelimit.Parse(reply); err != nil {
		return d, "", "", err
	}
	session, ok := reply[ratelimit.Numbers].(string)
	user, ok2 := reply[ratelimit.Numbers+1].(string)
	if !ok || !ok2 {
		return ratelimit.Decision{}, "", "", errors.New("session or user in the reply is not a string")
	}
	return d, session, user, nil
}
