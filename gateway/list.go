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

// list is a page of a list as clients see it.
type list[T any] struct {
	Data []T      `json:"data"`
	Page listPage `json:"page"`
}

type listPage struct {
	Limit      int     `json:"limit"`
	NextCursor *string `json:"nextCursor"` // null on the last page
	Total      *int64  `json:"total,omitempty"`
}

func listOf[T any](p contract.Page[T]) list[T] {
	l := list[T]{Data: p.Items, Page: listPage{Limit: p.Limit, Total: p.Total}}
	if l.Data == nil {
		l.Data = []T{}
	}
	if p.NextCursor != "" {
		l.Page.NextCursor = &p.NextCursor
	}
	return l
}

// query reads the parameters of a list and collects what is wrong with them. Its
// texts outlive the request.
type query struct {
	*call
	validation.Problems
}

// unread is what the edge finds wrong with the parameters of a list. What else is
// wrong only the app knows.
type unread validation.Problems

func (u unread) Error() string { return "parameters that cannot be read" }

// listErr returns nil when nothing is wrong, and else an unread.
func (q *query) listErr() error {
	if len(q.Problems) == 0 {
		return nil
	}
	return unread(q.Problems)
}

// with is the refusal that the client gets, with what the app found besides. The
// app was asked without what could not be read, to which a cursor may belong.
func (u unread) with(err error) error {
	all := validation.Problems(u)
	if err != nil {
		for _, f := range apperr.From(err).Fields {
			known := slices.ContainsFunc(u, func(own apperr.Field) bool { return own.Field == f.Field })
			if !known && f.Field != "cursor" {
				all = append(all, f)
			}
		}
	}
	return all.Err()
}

func (q *query) text(name string) string { return strings.Clone(q.Query(name)) }

// time reads a time, nil when it is absent.
func (q *query) time(name string) *contract.Time {
	text := q.Query(name)
	if text == "" {
		return nil
	}
	var at contract.Time
	if err := at.UnmarshalJSON([]byte(`"` + text + `"`)); err != nil { // as in a body
		q.Add(name, "invalid", "is no time of RFC 3339")
		return nil
	}
	return &at
}

// page reads limit and cursor.
func (q *query) page() contract.PageRequest {
	p := contract.PageRequest{Cursor: q.text("cursor")}
	text := q.Query("limit")
	if text == "" {
		return p
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		q.Add("limit", "invalid", "must be a whole number")
		return p
	}
	q.Range("limit", int64(n), 1, page.MaxLimit)
	p.Limit = n
	return p
}

// id reads an id out of the path.
func (q *query) id(name string) string {
	id := strings.Clone(q.Params(name))
	q.ID(name, id)
	return id
}
