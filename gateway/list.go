package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/page"
	"boxoffice/shared/validation"
)

// list is the body of a response with one page of a list.
type list[T any] struct {
	Data []T      `json:"data"`
	Page listPage `json:"page"`
}

type listPage struct {
	Limit      int     `json:"limit"`
	NextCursor *string `json:"nextCursor"` // null on the last page
	Total      *int64  `json:"total,omitempty"`
	// TotalIsEstimate reports that the list has more items than Total.
	TotalIsEstimate bool `json:"totalIsEstimate,omitempty"`
}

func newList[T any](p contract.Page[T]) list[T] {
	l := list[T]{Data: p.Items, Page: listPage{Limit: p.Limit, Total: p.Total, TotalIsEstimate: p.TotalIsEstimate}}
	if l.Data == nil {
		l.Data = []T{} // encoded as [] instead of null
	}
	if p.NextCursor != "" {
		l.Page.NextCursor = &p.NextCursor
	}
	return l
}

// presentList presents a list that is not public, so no cache may keep it.
func presentList[T any](p contract.Page[T]) any { return newList(p) }

// params parses query and path parameters and collects their problems. Its methods
// copy the strings that they return, because Fiber reuses the request's memory.
type params struct {
	*call
	validation.Problems
}

// queryError lists the query parameters that could not be parsed. withResponse still
// calls the app, without these parameters, so that one response names every invalid
// parameter.
type queryError validation.Problems

// Error implements error.
func (e queryError) Error() string { return "malformed query parameters" }

// queryErr returns the problems as a queryError, or nil if there are none.
func (p *params) queryErr() error {
	if len(p.Problems) == 0 {
		return nil
	}
	return queryError(p.Problems)
}

// merge returns the error for the client: the problems in e and those that the app
// reported in err. It omits the app's problem with the cursor, because the cursor may
// be valid for a list with the parameters that the app did not receive.
func (e queryError) merge(err error) error {
	all := validation.Problems(e)
	if err != nil {
		for _, f := range apperr.From(err).Fields {
			// The app got the zero value of a malformed field, so its problems with the field
			// or a part of it mean nothing.
			reported := slices.ContainsFunc(e, func(own apperr.Field) bool {
				return own.Field == f.Field || strings.HasPrefix(f.Field, own.Field+".")
			})
			if !reported && f.Field != "cursor" {
				all = append(all, f)
			}
		}
	}
	return all.Err()
}

// text returns a query parameter, or "" if it is absent or malformed. A parameter that is
// present restricts the list, so an empty one is malformed.
func (p *params) text(name string) string {
	text := strings.Clone(p.Query(name))
	switch {
	case text == "" && p.isPresent(name):
		p.Add(name, "invalid", "must have a value; leave the parameter out to select everything")
	case !utf8.ValidString(text):
		p.Add(name, "invalid", "must be percent-encoded UTF-8")
		return ""
	}
	return text
}

// isPresent reports whether the query has a parameter of this name.
func (p *params) isPresent(name string) bool { return p.Request().URI().QueryArgs().Has(name) }

// time parses a query parameter as a time, and rounds it up to milliseconds. All times are
// whole milliseconds, so the bound selects the same as the one that was sent. time returns
// nil if the parameter is absent or malformed.
func (p *params) time(name string) *contract.Time {
	if !p.isPresent(name) {
		return nil
	}
	exact, err := contract.ParseTime(queryLiteral(string(p.Request().URI().QueryString()), name))
	if err != nil {
		p.Add(name, "invalid", "must be %s", contract.Time{}.JSONForm())
		return nil
	}
	at := contract.At(exact)
	if later := contract.At(at.Add(time.Millisecond)); at.Before(exact) && later.Year() <= 9999 {
		at = later
	}
	return &at
}

// queryLiteral returns the first parameter of a query with this name, in which a plus sign
// stands for itself (RFC 3986, section 3.4). In a form it would stand for a space, which no
// time contains.
func queryLiteral(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		if value, err := url.PathUnescape(value); err == nil {
			return value
		}
		break
	}
	return ""
}

// page parses the query parameters limit and cursor.
func (p *params) page() contract.PageRequest {
	req := contract.PageRequest{Cursor: strings.Clone(p.Query("cursor"))} // empty for the first page
	if !p.isPresent("limit") {
		return req
	}
	text := p.Query("limit")
	n, err := strconv.Atoi(text)
	if err != nil {
		p.Add("limit", "invalid", "must be an integer from 1 to %d", page.MaxLimit)
		return req
	}
	p.Range("limit", int64(n), 1, page.MaxLimit)
	req.Limit = n
	return req
}

// pathText returns a path parameter that may contain any text. Clients percent-encode it
// (RFC 3986, section 2.1), and Fiber leaves it as it is, so that an encoded slash belongs
// to the parameter. pathText returns "" if the parameter is malformed.
func (p *params) pathText(name string) string {
	text, err := url.PathUnescape(p.Params(name))
	if err != nil || !utf8.ValidString(text) {
		p.Add(name, "invalid", "must be percent-encoded UTF-8")
		return ""
	}
	return strings.Clone(text) // PathUnescape returns its argument if nothing is encoded
}

// id returns a path parameter that must be an id.
func (p *params) id(name string) string {
	id := strings.Clone(p.Params(name))
	p.ID(name, id)
	return id
}
