package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/tools/demo/season"
)

// page is one page of a list that the API returns.
type page[T any] struct {
	Data []T
	Page struct {
		NextCursor *string
		Total      *int64
	}
}

// logInAdmin returns a client that is logged in as the admin.
func (d *demo) logInAdmin(ctx context.Context) (*client, error) {
	c := d.newClient()
	var login authapi.Login
	body := map[string]string{"email": d.stack.email, "password": d.stack.password}
	if err := c.call(ctx, request{method: "POST", path: "/api/auth/login", body: body, want: 200}, &login); err != nil {
		return nil, err
	}
	c.token = login.Tokens.AccessToken
	return c, nil
}

// loadSeason creates the events of the season that do not exist yet. The dates of a
// season depend on the day of loading, so an upcoming event with the same key counts
// as existing.
func (d *demo) loadSeason(ctx context.Context, admin *client, events []season.Event, now time.Time) error {
	existing, err := upcomingKeys(ctx, admin, now)
	if err != nil {
		return err
	}
	var missing []eventapi.Definition
	for _, e := range events {
		if existing[e.Key()] {
			continue
		}
		def, err := e.Definition(now)
		if err != nil {
			return err
		}
		missing = append(missing, def)
	}
	var bar *progressbar.ProgressBar
	created := 0
	for i, def := range missing {
		err := admin.call(ctx, request{method: "POST", path: "/api/events", body: def, want: 201}, nil)
		r, ok := errors.AsType[*statusError](err)
		switch {
		case err == nil:
			created++
		case !ok || r.code != eventapi.ReasonDuplicate: // a duplicate was created by another demo
			return err
		}
		if i == 0 {
			d.printEstimate(admin.last.limit, len(missing)-1)
			bar = newProgressBar(d.out, len(missing))
		}
		_ = bar.Add(1) // the demo goes on without a progress bar
	}
	d.printf("season: %d events, %d created, %d existed already\n\n", len(events), created, len(events)-created)
	return nil
}

// printEstimate prints how long n more requests will take within a rate limit, if that is
// more than a second.
func (d *demo) printEstimate(limit budget, n int) {
	if wait := time.Duration(max(0, n-limit.left)) * limit.step; wait > time.Second {
		d.printf("this takes about %s because of the gateway's rate limit\n", wait.Round(time.Second))
	}
}

// upcomingKeys returns the keys of the events that have not started.
func upcomingKeys(ctx context.Context, admin *client, now time.Time) (map[string]bool, error) {
	keys := map[string]bool{}
	query := url.Values{"from": {now.UTC().Format(time.RFC3339)}, "limit": {"100"}}
	for {
		var events page[eventapi.Event]
		if err := admin.call(ctx, request{method: "GET", path: "/api/events?" + query.Encode(), want: 200}, &events); err != nil {
			return nil, err
		}
		for _, e := range events.Data {
			if e.Venue != nil {
				keys[season.Key(e.Name, *e.Venue)] = true
			}
		}
		if events.Page.NextCursor == nil {
			return keys, nil
		}
		query.Set("cursor", *events.Page.NextCursor)
	}
}

// newProgressBar returns a progress bar that is visible only on a terminal.
func newProgressBar(out io.Writer, n int) *progressbar.ProgressBar {
	file, ok := out.(*os.File)
	visible := ok && term.IsTerminal(int(file.Fd()))
	return progressbar.NewOptions(n,
		progressbar.OptionSetWriter(out), progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetDescription("events"), progressbar.OptionSetWidth(40),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionClearOnFinish())
}
