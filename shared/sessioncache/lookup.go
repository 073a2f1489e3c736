package sessioncache

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/ratelimit"
)

// Request describes a client's request to Lookup.
type Request struct {
	Limits    []ratelimit.Limit // limits to count the request against; may be empty
	SessionID string            // empty if there is no session to look up
	UserID    string            // the session's user
}

// Entry contains what is cached of a session and its user.
type Entry struct {
	Session *authapi.Session // nil if not cached
	Ended   bool             // the session has ended for good
	User    *authapi.User    // nil if not cached, or if its version is older than the one stored with Session
	Lease   string           // pass it to auth.session.check if Session or User is nil
}

// Lookup counts a request against its limits and returns the cache entry of its
// session, in one round trip. If a limit refuses the request, the request is counted
// against no limit, and the entry contains neither session nor user. Lookup also
// returns an error if a limit is invalid.
//
// A value whose seal is wrong or has expired counts as not cached. In a second round trip
// Lookup writes the lease in its place, so that auth can fill it. It leaves a value alone
// that is longer than any that auth writes.
//
// Lookup does not check that the session belongs to req.UserID or has not expired. The
// caller must check both, and must treat an expired session as not cached.
func (c *Cache) Lookup(ctx context.Context, req Request) (ratelimit.Decision, Entry, error) {
	keys := make([]string, 0, sessionKeys+len(req.Limits))
	lease := ""
	if req.SessionID == "" {
		keys = append(keys, "", "")
	} else {
		keys = append(keys, sessionKey(req.SessionID), userKey(req.UserID))
		lease = c.nonce()
	}
	args := make([]any, 0, sessionArgs+3*len(req.Limits))
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
	if session == "" && user == "" {
		return decision, Entry{Lease: lease}, nil
	}
	return decision, c.entry(ctx, req, lease, session, user), nil
}

// entry returns the entry for what is stored of a session and its user.
func (c *Cache) entry(ctx context.Context, req Request, lease, session, user string) Entry {
	var (
		e        = Entry{Lease: lease}
		bad      []string // keys of values that are ignored
		stored   = []any{lease, leaseTTL.Milliseconds()}
		required int64 // version of the user
		version  int64
		err      error
	)
	if session != "" {
		if e.Session, required, err = decode[authapi.Session](c, sessionKey(req.SessionID), session); err != nil {
			bad, stored = append(bad, sessionKey(req.SessionID)), append(stored, session)
		}
	}
	if user != "" {
		e.User, version, err = decode[authapi.User](c, userKey(req.UserID), user)
		if err != nil || version < required {
			e.User = nil
			bad, stored = append(bad, userKey(req.UserID)), append(stored, user)
		}
	}
	if len(bad) == 0 {
		return e
	}
	c.rejected(ctx)
	if len(session) <= maxValue && len(user) <= maxValue {
		// If this fails, the values stay and are ignored until they expire.
		_ = replaceScript.Run(ctx, c.redis, bad, stored...).Err()
	}
	return e
}

// parseReply parses the result of lookupScript.
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
