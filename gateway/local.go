package main

import "net/http"

// local returns the endpoint of a route that calls no app. The result of fn is the
// body of the response.
func local(fn func(*call) (any, error)) endpoint {
	return func(c *call) (response, error) {
		body, err := fn(c)
		return response{http.StatusOK, body}, err
	}
}

// getHealth always returns ok, because a process that responds is alive.
func (s *Server) getHealth(*call) (any, error) {
	return struct {
		Status string `json:"status"`
	}{"ok"}, nil
}

// getReadiness returns the results of the readiness checks. The status is 503 unless
// all of them pass.
func (s *Server) getReadiness(c *call) (response, error) {
	report, ready := s.ready.Report(c.ctx)
	if !ready {
		c.Set("Retry-After", "1")
		return response{http.StatusServiceUnavailable, report}, nil
	}
	return response{http.StatusOK, report}, nil
}

// getKeys returns the JSON Web Key Set that verifies access tokens.
func (s *Server) getKeys(c *call) (any, error) {
	set, err := s.keys.Set()
	c.Set("Cache-Control", "public, max-age=300") // auth publishes a key for longer than this before it signs with it
	return set, err
}

// getMe returns the user's record, which authorize has already read.
func getMe(c *call) (any, error) { return c.caller, nil }
