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

// list is a page of a list.
type list[T any] struct {
	Data []T
	Page struct {
		NextCursor *string
		Total      *int64
	}
}

func (d *demo) admin(ctx context.Context) (*client, error) {
	c := d.guest()
	var in authapi.Login
	body := map[string]string{"email": d.where.email, "password": d.where.password}
	if err := c.call(ctx, request{method: "POST", path: "/api/auth/login", body: body, want: 200}, &in); err != nil {
		return nil, err
	}
	c.token = in.Tokens.AccessToken
	return c, nil
}

// load makes the events of the season that are not there yet. Dates move with the
// day of loading, so that an event to come with the same key counts as there.
func (d *demo) load(ctx context.Context, boss *client, events []season.Event, now time.Time) error {
	there, err := coming(ctx, boss, now)
	if err != nil {
		return err
	}
	var missing []eventapi.Definition
	for _, e := range events {
		if there[e.Key()] {
			continue
		}
		def, err := e.Definition(now)
		if err != nil {
			return err
		}
		missing = append(missing, def)
	}
	var bar *progressbar.ProgressBar
	made := 0
	for i, def := range missing {
		err := boss.call(ctx, request{method: "POST", path: "/api/events", body: def, want: 201}, nil)
		r, ok := errors.AsType[*refusal](err)
		switch {
		case err == nil:
			made++
		case !ok || r.code != eventapi.ReasonDuplicate: // another demo was faster
			return err
		}
		if i == 0 {
			d.estimate(boss.last.limit, len(missing)-1)
			bar = newBar(d.out, len(missing))
		}
		_ = bar.Add(1) // a bar that cannot be drawn is no reason to stop
	}
	d.say("the season: %d events, %d new, %d already there\n\n", len(events), made, len(events)-made)
	return nil
}

// estimate says how long so many more requests take when they keep to the limit.
func (d *demo) estimate(limit budget, more int) {
	if wait := time.Duration(max(0, more-limit.left)) * limit.step; wait > time.Second {
		d.say("the gateway's limit for one user makes this take about %s\n", wait.Round(time.Second))
	}
}

// coming are the keys of the events that have not started.
func coming(ctx context.Context, boss *client, now time.Time) (map[string]bool, error) {
	there := map[string]bool{}
	query := url.Values{"from": {now.UTC().Format(time.RFC3339)}, "limit": {"100"}}
	for {
		var page list[eventapi.Event]
		if err := boss.call(ctx, request{method: "GET", path: "/api/events?" + query.Encode(), want: 200}, &page); err != nil {
			return nil, err
		}
		for _, e := range page.Data {
			if e.Venue != nil {
				there[season.Key(e.Name, *e.Venue)] = true
			}
		}
		if page.Page.NextCursor == nil {
			return there, nil
		}
		query.Set("cursor", *page.Page.NextCursor)
	}
}

// newBar draws only for who looks at a terminal.
func newBar(out io.Writer, n int) *progressbar.ProgressBar {
	file, ok := out.(*os.File)
	seen := ok && term.IsTerminal(int(file.Fd()))
	return progressbar.NewOptions(n,
		progressbar.OptionSetWriter(out), progressbar.OptionSetVisibility(seen),
		progressbar.OptionSetDescription("events"), progressbar.OptionSetWidth(40),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionClearOnFinish())
}
