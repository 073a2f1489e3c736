package rpc

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/apperr"
)

// Result is what became of one of several requests that one operation carries.
type Result[T any] struct {
	Data T
	Err  error // an *apperr.Error, on the side that called
}

// Answer is a Result on the wire: {"data": ...} or {"error": ...}.
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

// result returns false when there is neither.
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

// HandleEach serves an operation that carries several requests; fn answers each, in
// their order. When it fails for all of them, the operation fails.
func HandleEach[Req, Res any](srv *Server, op Op[[]Req, []Answer[Res]], fn func(context.Context, []Req) ([]Result[Res], error)) {
	Handle(srv, op, func(ctx context.Context, reqs []Req) ([]Answer[Res], error) {
		results, err := fn(ctx, reqs)
		if err != nil {
			return nil, err
		}
		answers := make([]Answer[Res], len(results))
		var failed []error
		for i, r := range results {
			answers[i] = answerOf(r)
			if r.Err != nil && apperr.From(r.Err).Failure() {
				failed = append(failed, r.Err)
			}
		}
		if len(failed) == len(results) {
			return nil, errors.Join(failed...)
		}
		for _, err := range failed {
			srv.report(ctx, op.Method, apperr.From(err), err)
		}
		return answers, nil
	})
}

// CallEach is Call for an operation that carries several requests. It returns what
// became of each, in their order, or one error for all.
func CallEach[Req, Res any](ctx context.Context, c *Client, op Op[[]Req, []Answer[Res]], reqs []Req) ([]Result[Res], error) {
	answers, err := Call(ctx, c, op, reqs)
	if err != nil {
		return nil, err
	}
	results := make([]Result[Res], len(answers))
	whole := len(answers) == len(reqs)
	for i, a := range answers {
		r, ok := a.result()
		results[i], whole = r, whole && ok
	}
	if !whole {
		return nil, apperr.Fault(fmt.Errorf("call %s: the %d answers are not those to %d requests", op.Method, len(answers), len(reqs)))
	}
	return results, nil
}
