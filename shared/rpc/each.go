package rpc

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/apperr"
)

// Result is the outcome of one of several requests in a call.
type Result[T any] struct {
	Data T
	Err  error // always an *apperr.Error on the calling side
}

// Answer is a Result in wire format: {"data": ...} or {"error": ...}.
type Answer[T any] struct {
	Data  *T         `json:"data,omitempty"`
	Error *wireError `json:"error,omitempty"`
}

func answerOf[T any](r Result[T]) Answer[T] {
	if r.Err != nil {
		return Answer[T]{Error: toWire(apperr.From(r.Err))}
	}
	return Answer[T]{Data: &r.Data}
}

// result returns the Result. ok is false if the answer has neither data nor an error.
func (a Answer[T]) result() (r Result[T], ok bool) {
	switch {
	case a.Error != nil:
		r.Err = fromWire(a.Error)
	case a.Data != nil:
		r.Data = *a.Data
	default:
		return r, false
	}
	return r, true
}

// HandleEach serves an operation that carries several requests. fn returns a result for
// each request, in the same order, or one error for all of them. If every request fails,
// as opposed to being refused, the whole operation fails, so that circuit breakers count
// it.
func HandleEach[Req, Res any](srv *Server, op Op[[]Req, []Answer[Res]], fn func(context.Context, []Req) ([]Result[Res], error)) {
	Handle(srv, op, func(ctx context.Context, reqs []Req) ([]Answer[Res], error) {
		results, err := fn(ctx, reqs)
		if err != nil {
			return nil, err
		}
		answers := make([]Answer[Res], len(results))
		var failures []error
		for i, r := range results {
			answers[i] = answerOf(r)
			if r.Err != nil && apperr.From(r.Err).Failure() {
				failures = append(failures, r.Err)
			}
		}
		if len(failures) == len(results) {
			return nil, errors.Join(failures...)
		}
		for _, err := range failures {
			srv.logFailure(ctx, op.Method, apperr.From(err), err)
		}
		return answers, nil
	})
}

// CallEach is Call for an operation that carries several requests. It returns their
// results in the same order, or one error for all of them.
func CallEach[Req, Res any](ctx context.Context, c *Client, op Op[[]Req, []Answer[Res]], reqs []Req) ([]Result[Res], error) {
	answers, err := Call(ctx, c, op, reqs)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(reqs) {
		return nil, apperr.Fault(fmt.Errorf("call %s: got %d answers to %d requests", op.Method, len(answers), len(reqs)))
	}
	results := make([]Result[Res], len(answers))
	for i, a := range answers {
		r, ok := a.result()
		if !ok {
			return nil, apperr.Fault(fmt.Errorf("call %s: answer %d has neither data nor an error", op.Method, i))
		}
		results[i] = r
	}
	return results, nil
}
