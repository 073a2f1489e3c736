package event

import (
	"context"
	"fmt"
	"slices"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/page"
)

// EntryQuery selects entries of an event's capacity log.
type EntryQuery struct {
	EventID string
	After   int64         // only entries of later versions than this one
	Before  EntryPosition // only entries before this position
	Limit   int
}

// ListCapacityLog returns a page of the capacity log; see eventapi.ListCapacityLog.
//
// The first page begins at the seats.version of a snapshot of the event. All entries up to
// that version are logged before the page is read. The sums over all pages are therefore
// the counters of the snapshot, however many seats move meanwhile.
func (s *Service) ListCapacityLog(ctx context.Context, req eventapi.CapacityLogRequest) (contract.Page[eventapi.CapacityLogEntry], error) {
	result := contract.Page[eventapi.CapacityLogEntry]{Items: []eventapi.CapacityLogEntry{}}
	q, list, err := s.newEntryQuery(req)
	if err != nil {
		return result, err
	}
	result.Limit = q.Limit
	if req.Cursor == "" {
		if q.Before, err = s.startOfLog(ctx, req.EventID); err != nil {
			return result, err
		}
	}
	q.Limit++ // an additional entry shows that there is another page
	entries, opening, err := s.readLog(ctx, q)
	if err != nil {
		return result, err
	}
	for _, e := range entries {
		result.Items = append(result.Items, e.public())
	}
	if opening.Through > 0 && len(entries) < q.Limit {
		result.Items = append(result.Items, opening.public())
	}
	if len(result.Items) > result.Limit {
		result.Items = result.Items[:result.Limit]
		last := entries[result.Limit-1]
		result.NextCursor, err = s.cursors.Encode(list, EntryPosition{Version: last.Version, Number: last.Number})
	}
	return result, err
}

// newEntryQuery returns the query of a request, and a string that identifies the list. The
// query has no position unless the request has a cursor.
func (s *Service) newEntryQuery(req eventapi.CapacityLogRequest) (q EntryQuery, list string, err error) {
	var p problems
	p.ID("eventId", req.EventID)
	q = EntryQuery{EventID: req.EventID, Limit: page.Limit(req.Limit, &p.Problems)}
	if err := p.Err(); err != nil {
		return q, "", err
	}
	list = "capacity log " + req.EventID
	if req.Cursor != "" {
		err = s.cursors.Decode(list, req.Cursor, &q.Before)
	}
	return q, list, err
}

// startOfLog returns the position after the newest entry of an event, and makes the log
// complete up to there.
func (s *Service) startOfLog(ctx context.Context, eventID string) (EntryPosition, error) {
	e, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	if err != nil {
		return EntryPosition{}, err
	}
	return EntryPosition{Version: e.Seats.Version + 1}, s.logAll(ctx, e)
}

// readLog returns the entries that match q and were not folded, newest first, and the
// opening entry. It reads the entries first: a fold deletes entries only after it has
// written the opening entry, so the result lacks no entry that the opening entry does not
// include. readLog returns an error about the cursor if the opening entry includes entries
// behind the position of q, which an earlier page contained.
func (s *Service) readLog(ctx context.Context, q EntryQuery) ([]Entry, Opening, error) {
	entries, err := s.log.ListEntries(ctx, q)
	if err != nil {
		return nil, Opening{}, fmt.Errorf("list the capacity log of event %s: %w", q.EventID, err)
	}
	e, err := s.visibleEvent(ctx, eventapi.GetRequest{EventID: q.EventID, ByAdmin: true})
	switch {
	case err != nil:
		return nil, Opening{}, err
	case q.Before.Version <= e.Opening.Through:
		return nil, Opening{}, errFolded()
	}
	entries = slices.DeleteFunc(entries, func(entry Entry) bool { return entry.Version <= e.Opening.Through })
	return entries, e.Opening, nil
}

func errFolded() error {
	return apperr.InvalidFields(apperr.Field{
		Field: "cursor", Code: "expired", Message: "must be a nextCursor that was returned recently; request the first page again",
	})
}

// public returns the entry as clients see it.
func (e Entry) public() eventapi.CapacityLogEntry {
	p := eventapi.CapacityLogEntry{
		ID: e.ID(), At: contract.At(e.At), Cause: string(e.Cause), Change: eventapi.CapacityChange(e.Change), TraceID: e.TraceID,
	}
	if id, _, err := bookingapi.ParseHoldID(e.HoldID); err == nil {
		p.BookingID = id
	}
	return p
}

// public returns the opening entry as clients see it.
func (o Opening) public() eventapi.CapacityLogEntry {
	return eventapi.CapacityLogEntry{
		ID: openingID, At: contract.At(o.At), Cause: eventapi.CauseOpening, Change: eventapi.CapacityChange(o.Sum),
	}
}

// openingID is the id of the opening entry. No other entry has it; see Entry.ID.
const openingID = "opening"
