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

// Query selects bookings. An empty field does not restrict the selection, except Limit,
// which must be set. The zero time is a bound like any other.
type Query struct {
	UserID   string
	EventID  string
	State    State
	From, To *time.Time // range of CreatedAt: From inclusive, To exclusive
	After    *Position  // where the previous page ended
	Limit    int
}

// Position is the position of a booking in a list, newest first.
type Position struct {
	CreatedAt time.Time `json:"t"`
	ID        string    `json:"i"`
}

// MaxCount is the largest number of bookings that ListBookings counts. A count examines every
// booking that it counts, so one of all bookings would take ever longer.
const MaxCount = 10_000

// ListBookings implements bookingapi.ListBookings.
func (s *Service) ListBookings(ctx context.Context, req bookingapi.ListRequest) (contract.Page[bookingapi.Booking], error) {
	result := contract.Page[bookingapi.Booking]{Items: []bookingapi.Booking{}}
	q, list, err := s.newQuery(req)
	if err != nil {
		return result, err
	}
	limit := q.Limit
	q.Limit++ // the extra booking shows whether there is another page
	found, err := s.finder.ListBookings(ctx, q)
	if err != nil {
		return result, fmt.Errorf("list bookings: %w", err)
	}
	result.Limit = limit
	if req.Count {
		q.Limit = MaxCount + 1
		total, err := s.finder.CountBookings(ctx, q)
		if err != nil {
			return result, fmt.Errorf("count bookings: %w", err)
		}
		result.TotalIsEstimate = total > MaxCount
		total = min(total, MaxCount)
		result.Total = &total
	}
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		if result.NextCursor, err = s.cursors.Encode(list, Position{CreatedAt: last.CreatedAt, ID: last.ID}); err != nil {
			return result, err
		}
	}
	for _, b := range found {
		result.Items = append(result.Items, b.Public())
	}
	return result, nil
}

// newQuery returns the query for a request. list identifies the list: a cursor is
// only valid for requests with the same filters.
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
		q.From = &req.From.Time
	}
	if req.To != nil {
		q.To = &req.To.Time
	}
	if err := p.Err(); err != nil {
		return q, "", err
	}
	filters := req
	filters.PageRequest, filters.Count = contract.PageRequest{}, false
	text, err := json.Marshal(filters)
	if err != nil {
		return q, "", fmt.Errorf("encode the filters of a list: %w", err)
	}
	list = "bookings " + string(text)
	if req.Cursor != "" {
		q.After = new(Position)
		err = s.cursors.Decode(list, req.Cursor, q.After)
	}
	return q, list, err
}
