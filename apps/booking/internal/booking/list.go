package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/page"
	"boxoffice/shared/validation"
)

// Query says which bookings, and from where on. What is empty does not narrow
// it; times compare CreatedAt, From inclusive and To exclusive.
type Query struct {
	UserID   string
	EventID  string
	State    State
	From, To time.Time
	After    *Position
	Limit    int
}

// Position is where a page ended.
type Position struct {
	CreatedAt time.Time `json:"t"`
	ID        string    `json:"i"`
}

// ListBookings returns a page of bookings; see bookingapi.ListBookings.
func (s *Service) ListBookings(ctx context.Context, req bookingapi.ListRequest) (contract.Page[bookingapi.Booking], error) {
	answer := contract.Page[bookingapi.Booking]{Items: []bookingapi.Booking{}}
	q, list, err := s.newQuery(req)
	if err != nil {
		return answer, err
	}
	limit := q.Limit
	q.Limit++ // one more says whether there is another page
	found, err := s.finder.ListBookings(ctx, q)
	if err != nil {
		return answer, fmt.Errorf("list bookings: %w", err)
	}
	answer.Limit = limit
	if req.Count {
		total, err := s.finder.CountBookings(ctx, q)
		if err != nil {
			return answer, fmt.Errorf("count bookings: %w", err)
		}
		answer.Total = &total
	}
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		if answer.NextCursor, err = s.cursors.Encode(list, Position{CreatedAt: last.CreatedAt, ID: last.ID}); err != nil {
			return answer, err
		}
	}
	for _, b := range found {
		answer.Items = append(answer.Items, b.Public())
	}
	return answer, nil
}

// newQuery reads a request. list names the list for its cursors.
func (s *Service) newQuery(req bookingapi.ListRequest) (q Query, list string, err error) {
	var p validation.Problems
	q = Query{UserID: req.UserID, EventID: req.EventID}
	q.Limit = page.Limit(req.Limit, &p)
	if req.UserID != "" {
		p.ID("userId", req.UserID)
	}
	if req.EventID != "" {
		p.ID("eventId", req.EventID)
	}
	if req.Status != "" {
		if q.State, err = ParseState(req.Status); err != nil {
			p.Add("status", "invalid", "must be one of pending, confirmed, cancelled, expired")
		}
	}
	if req.From != nil {
		q.From = req.From.Time
	}
	if req.To != nil {
		q.To = req.To.Time
	}
	if err := p.Err(); err != nil {
		return q, "", err
	}
	name := req
	name.PageRequest, name.Count = contract.PageRequest{}, false
	text, err := json.Marshal(name)
	if err != nil {
		return q, "", fmt.Errorf("name the list: %w", err)
	}
	list = "bookings " + string(text)
	if req.Cursor != "" {
		q.After = new(Position)
		err = s.cursors.Decode(list, req.Cursor, q.After)
	}
	return q, list, err
}
