package main

import (
	"strconv"
	"strings"
	"time"

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

func (q *query) text(name string) string { return strings.Clone(q.Query(name)) }

// time reads a time, nil when it is absent.
func (q *query) time(name string) *contract.Time {
	text := q.Query(name)
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.Add(name, "invalid", "is no time of RFC 3339")
		return nil
	}
	at := contract.At(t)
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
	q.Within("limit", int64(n), 1, page.MaxLimit)
	p.Limit = n
	return p
}

// id reads an id out of the path.
func (q *query) id(name string) string {
	id := strings.Clone(q.Params(name))
	q.ID(name, id)
	return id
}
