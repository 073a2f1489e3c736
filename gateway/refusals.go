package main

import (
	"boxoffice/shared/apperr"
	"boxoffice/shared/sessioncache"
)

// refusals is the bucket of the refused requests of users. Each refusal of a booking
// costs the booking app a record that it keeps, for up to a day, so a user who only
// collects refusals is stopped earlier than one whose requests succeed.
//
// The limit costs an accepted request no round trip: admit compares its bucket in the
// script that counts the request (see ratelimit.Limit.Peek), and only a refusal is counted
// by a command of its own. Requests that are under way at the same time may therefore
// exceed the limit, by as many as the limit of write allows.
const refusals bucket = "refusals"

// countRefusals returns an endpoint that counts the refusals of next. A request that was
// malformed, or whose outcome is unknown, is no refusal. Routes with this endpoint have the
// bucket refusable.
func (s *Server) countRefusals(next endpoint) endpoint {
	return func(c *call) (response, error) {
		res, err := next(c)
		if err != nil && isRefusal(err) {
			if limits := s.appendLimit(nil, refusals, userSubject(c.caller.ID)); len(limits) > 0 {
				s.lookup(c.ctx, sessioncache.Request{Limits: limits})
			}
		}
		return res, err
	}
}

// isRefusal reports whether an app refused a well-formed request.
func isRefusal(err error) bool {
	switch apperr.From(err).Code {
	case apperr.NotFound, apperr.Conflict, apperr.Unprocessable:
		return true
	case apperr.Invalid, apperr.Unauthenticated, apperr.Forbidden, apperr.PreconditionFailed, apperr.RateLimited,
		apperr.Internal, apperr.Unavailable, apperr.Timeout:
	}
	return false
}
