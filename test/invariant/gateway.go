package invariant

import (
	"context"
	"encoding/json"
	"fmt"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/stack"
)

// ReadGateway sets s.Seats and s.Listed to what the gateway reports about eventIDs to
// an admin.
func (s *State) ReadGateway(ctx context.Context, admin stack.Client, eventIDs []string) error {
	s.Seats, s.Listed = map[string]eventapi.Availability{}, map[string]bookingapi.Booking{}
	for _, id := range eventIDs {
		var seats eventapi.Availability
		if err := fetch(ctx, admin, "/api/events/"+id+"/availability", &seats); err != nil {
			return err
		}
		s.Seats[id] = seats
		for cursor := ""; ; {
			var page struct {
				Data []bookingapi.Booking
				Page struct{ NextCursor *string }
			}
			if err := fetch(ctx, admin, "/api/bookings?limit=100&eventId="+id+cursor, &page); err != nil {
				return err
			}
			for _, b := range page.Data {
				s.Listed[b.ID] = b
			}
			if page.Page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.Page.NextCursor
		}
	}
	return nil
}

// fetch decodes the reply to a GET into v.
func fetch(ctx context.Context, c stack.Client, path string, v any) error {
	res, err := c.Try(ctx, "GET", path, nil)
	switch {
	case err != nil:
		return err
	case res.StatusCode != 200:
		return fmt.Errorf("GET %s: got status %d: %s", path, res.StatusCode, res.Text)
	}
	return json.Unmarshal([]byte(res.Text), v)
}
