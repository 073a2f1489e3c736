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

// Sort is an order of events. Events that are equal in it are ordered by their ids, in
// the same direction.
type Sort string

// The orders of events.
const (
	ByStart     Sort = eventapi.SortStartsAt
	ByStartDesc Sort = eventapi.SortStartsAtDesc
	ByName      Sort = eventapi.SortName // compares bytes
	ByCreation  Sort = eventapi.SortCreatedAt
)

// ParseSort returns the order with the given name. The empty name means ByStart.
func ParseSort(s string) (Sort, error) {
	switch sort := Sort(s); sort {
	case "":
		return ByStart, nil
	case ByStart, ByStartDesc, ByName, ByCreation:
		return sort, nil
	}
	return "", fmt.Errorf("unknown order %q", s)
}

// Query selects a page of events. Empty fields do not restrict it. The zero time is a bound
// like any other.
type Query struct {
	OrganizerID string
	Category    string
	Statuses    []Status   // never empty
	From, To    *time.Time // bounds of the start: From is inclusive, To is exclusive
	Sort        Sort
	After       *Position
	Limit       int
}

// Position is the end of a page: the id of its last event, and the value of the field by
// which the page is sorted.
type Position struct {
	ID   string    `json:"i"`
	Time time.Time `json:"t,omitzero"`  // for orders by start and by creation
	Name string    `json:"n,omitempty"` // for the order by name
}

// At returns the position of e in the order.
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
	result := contract.Page[eventapi.Event]{Items: []eventapi.Event{}}
	q, list, err := s.newQuery(req)
	if err != nil {
		return result, err
	}
	result.Limit = q.Limit
	if len(q.Statuses) == 0 {
		return result, nil
	}
	limit := q.Limit
	q.Limit++ // an additional event shows that there is another page
	events, err := s.catalogue.ListEvents(ctx, q)
	if err != nil {
		return result, fmt.Errorf("list events: %w", err)
	}
	if len(events) > limit {
		events = events[:limit]
		if result.NextCursor, err = s.cursors.Encode(list, q.Sort.At(events[limit-1])); err != nil {
			return result, err
		}
	}
	for _, e := range events {
		result.Items = append(result.Items, e.publicTo(req.ByAdmin))
	}
	return result, nil
}

// ListOrganizerEvents returns a page of an organizer's events; see
// eventapi.ListOrganizerEvents.
func (s *Service) ListOrganizerEvents(ctx context.Context, req eventapi.ListRequest) (contract.Page[eventapi.Event], error) {
	var p problems
	if p.ID("organizerId", req.OrganizerID); p.Err() != nil {
		return contract.Page[eventapi.Event]{}, p.Err()
	}
	return s.ListEvents(ctx, req)
}

// newQuery returns the query of a request, and a string that identifies the list: the
// request without its page. A cursor is accepted only for the list that it came from.
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
		q.From = &req.From.Time
	}
	if req.To != nil {
		q.To = &req.To.Time
	}
	if err := p.Err(); err != nil {
		return q, "", err
	}
	filter := req
	filter.PageRequest = contract.PageRequest{}
	text, err := json.Marshal(filter)
	if err != nil {
		return q, "", fmt.Errorf("identify the list: %w", err)
	}
	list = "events " + string(text)
	if req.Cursor != "" {
		q.After = new(Position)
		err = s.cursors.Decode(list, req.Cursor, q.After)
	}
	return q, list, err
}

// visibleStatuses returns the requested statuses that the client may see, possibly none.
func (p *problems) visibleStatuses(req eventapi.ListRequest) []Status {
	requested := []Status{Draft, Published, Cancelled}
	if req.Status != "" {
		status, err := ParseStatus(req.Status)
		if err != nil {
			p.Add("status", "invalid", "must be one of draft, published, cancelled")
		}
		requested = []Status{status}
	}
	var visible []Status
	for _, status := range requested {
		if (Event{Status: status}).Visible(req.ByAdmin) {
			visible = append(visible, status)
		}
	}
	return visible
}
