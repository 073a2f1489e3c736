package main

import (
	"slices"
	"strconv"
	"strings"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/page"
	"boxoffice/shared/validation"
)

// list is the body of a response that contains one page of a list.
type list[T any] struct {
	Data []T      `json:"data"`
	Page listPage `json:"page"`
}

type listPage struct {
	Limit      int     `json:"limit"`
	NextCursor *string `json:"nextCursor"` // null on the last page
	Total      *int64  `json:"total,omitempty"`
}

func newList[T any](p contract.Page[T]) list[T] {
	l := list[T]{Data: p.Items, Page: listPage{Limit: p.Limit, Total: p.Total}}
	if l.Data == nil {
		l.Data = []T{} // [] and not null
	}
	if p.NextCursor != "" {
		l.Page.NextCursor = &p.NextCursor
	}
	return l
}

// params parses query and path parameters and collects what is wrong with them. It
// copies the strings that it returns, so they stay valid after the request.
type params struct {
	*call
	validation.Problems
}

// queryError contains the query parameters of a list that could not be parsed. The
// app is called nevertheless, without them, so that one response names every wrong
// parameter.
type queryError validation.Problems

// Error implements error.
func (e queryError) Error() string { return "malformed query parameters" }

// queryErr returns a queryError if a parameter could not be parsed, and otherwise
// nil.
func (p *params) queryErr() error {
	if len(p.Problems) == 0 {
		return nil
	}
	return queryError(p.Problems)
}

// merge returns the error that is sent to the client: e and the fields that the app
// reported in err. It leaves out what the app reported about the cursor, because
// the cursor may belong to a list with the parameters that the app did not get.
func (e queryError) merge(err error) error {
	all := validation.Problems(e)
	if err != nil {
		for _, f := range apperr.From(err).Fields {
			reported := slices.ContainsFunc(e, func(own apperr.Field) bool { return own.Field == f.Field })
			if !reported && f.Field != "cursor" {
				all = append(all, f)
			}
		}
	}
	return all.Err()
}

// text returns a query parameter, or "" if it is absent.
func (p *params) text(name string) string { return strings.Clone(p.Query(name)) }

// time parses a query parameter as a time. It returns nil if the parameter is absent
// or malformed.
func (p *params) time(name string) *contract.Time {
	text := p.Query(name)
	if text == "" {
		return nil
	}
	var at contract.Time
	if err := at.UnmarshalJSON([]byte(`"` + text + `"`)); err != nil { // the same rule as in a body
		p.Add(name, "invalid", "must be %s", at.JSONForm())
		return nil
	}
	return &at
}

// page parses the query parameters limit and cursor.
func (p *params) page() contract.PageRequest {
	req := contract.PageRequest{Cursor: p.text("cursor")}
	text := p.Query("limit")
	if text == "" {
		return req
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		p.Add("limit", "invalid", "must be a whole number")
		return req
	}
	p.Range("limit", int64(n), 1, page.MaxLimit)
	req.Limit = n
	return req
}

// id parses a path parameter as an id.
func (p *params) id(name string) string {
	id := strings.Clone(p.Params(name))
	p.ID(name, id)
	return id
}
