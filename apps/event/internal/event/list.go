package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/page"
)

// Sort is an order of events. Events that are equal in it are in the order of
// their ids, backwards too when the order is.
type Sort string

// The orders.
const (
	ByStart     Sort = eventapi.SortStartsAt
	ByStartDesc Sort = eventapi.SortStartsAtDesc
	ByName      Sort = eventapi.SortName // byte by byte
	ByCreation  Sort = eventapi.SortCreatedAt
)

// ParseSort returns the order of that name; an empty one is by start.
func ParseSort(s string) (Sort, error) {
	switch sort := Sort(s); sort {
	case "":
		return ByStart, nil
	case ByStart, ByStartDesc, ByName, ByCreation:
		return sort, nil
	}
	return "", fmt.Errorf("unknown order %q", s)
}

// Query says which events, in which order and from where on. What is empty does
// not narrow it.
type Query struct {
	OrganizerID string
	Category    string
	Statuses    []Status // never empty
	From, To    time.Time
	Sort        Sort
	After       *Position
	Limit       int
}

// Position is where a page ended: at the event ID, with its value in the order.
type Position struct {
	ID   string    `json:"i"`
	Time time.Time `json:"t,omitzero"` // by start and by creation
	Name string    `json:"n,omitempty"`
}

// At returns the position of an event in the order.
func (sort Sort) At(e Event) Position {
	switch sort {
	case ByName:
		return Position{ID: e.ID, Name: e.Name}
	case ByCreation:
		return Position{ID: e.ID, Time: e.CreatedAt}
	case ByStart, ByStartDesc:
	}
	return Position{ID: e.ID, Time: e.StartsAt}
}

// ListEvents returns a page of events; see eventapi.ListEvents.
func (s *Service) ListEvents(ctx context.Context, req eventapi.ListRequest) (contract.Page[eventapi.Event], error) {
	none := contract.Page[eventapi.Event]{Items: []eventapi.Event{}}
	q, list, err := s.newQuery(req)
	if err != nil {
		return none, err
	}
	none.Limit = q.Limit
	if len(q.Statuses) == 0 {
		return none, nil
	}
	limit := q.Limit
	q.Limit++ // one more says whether there is another page
	events, err := s.catalogue.ListEvents(ctx, q)
	if err != nil {
		return none, fmt.Errorf("list events: %w", err)
	}
	answer := none
	if len(events) > limit {
		events = events[:limit]
		if answer.NextCursor, err = s.cursors.Encode(list, q.Sort.At(events[limit-1])); err != nil {
			return none, err
		}
	}
	for _, e := range events {
		answer.Items = append(answer.Items, e.Public())
	}
	return answer, nil
}

// newQuery reads a request. list names the list for its cursors.
func (s *Service) newQuery(req eventapi.ListRequest) (q Query, list string, err error) {
	var p problems
	q = Query{OrganizerID: req.OrganizerID, Category: req.Category}
	q.Limit = page.Limit(req.Limit, &p.Problems)
	if q.Sort, err = ParseSort(req.Sort); err != nil {
		p.Add("sort", "invalid", "must be one of startsAt, -startsAt, name, createdAt")
	}
	p.MaxLength("category", req.Category, maxCategory)
	if req.OrganizerID != "" {
		p.ID("organizerId", req.OrganizerID)
	}
	q.Statuses = p.visibleStatuses(req)
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
	name.PageRequest = contract.PageRequest{}
	text, err := json.Marshal(name)
	if err != nil {
		return q, "", fmt.Errorf("name the list: %w", err)
	}
	list = "events " + string(text)
	if req.Cursor != "" {
		q.After = new(Position)
		err = s.cursors.Decode(list, req.Cursor, q.After)
	}
	return q, list, err
}

// visibleStatuses are the statuses that are asked for and may be seen, which may
// be none.
func (p *problems) visibleStatuses(req eventapi.ListRequest) []Status {
	asked := []Status{Draft, Published, Cancelled}
	if req.Status != "" {
		status, err := ParseStatus(req.Status)
		if err != nil {
			p.Add("status", "invalid", "must be one of draft, published, cancelled")
		}
		asked = []Status{status}
	}
	var seen []Status
	for _, status := range asked {
		if (Event{Status: status}).Visible(req.ByAdmin) {
			seen = append(seen, status)
		}
	}
	return seen
}
