package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"boxoffice/gateway/internal/negotiate"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

func bindCreateEvent(c *call) (eventapi.CreateRequest, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return eventapi.CreateRequest{}, err
	}
	body, err := decode[eventapi.Definition](c)
	return eventapi.CreateRequest{EventID: newID(), IdempotencyKey: key, OrganizerID: c.caller.ID, Event: body}, err
}

func presentCreatedEvent(c *call, created eventapi.Created) response {
	c.Set(fiber.HeaderLocation, eventPath(created.Event.ID))
	c.Set(fiber.HeaderETag, created.ETag())
	if created.Replayed {
		c.Set(headerReplayed, "true")
	}
	return response{http.StatusCreated, created.Event}
}

// eventPath returns the path of an event.
func eventPath(id string) string { return "/api/events/" + id }

func bindUpdateEvent(c *call) (eventapi.UpdateRequest, error) {
	p := params{call: c}
	req := eventapi.UpdateRequest{EventID: p.id("eventId"), ChangeID: newID(), Versions: p.ifMatch()}
	if err := p.Err(); err != nil {
		return req, err
	}
	var err error
	req.Changes, err = decode[eventapi.Changes](c)
	return req, err
}

func bindChangeEvent(c *call) (eventapi.ChangeRequest, error) {
	p := params{call: c}
	req := eventapi.ChangeRequest{EventID: p.id("eventId"), ChangeID: newID()}
	return req, p.Err()
}

// presentChangedEvent presents an event after a change.
func presentChangedEvent(c *call, v eventapi.Versioned) response {
	c.Set(fiber.HeaderETag, v.ETag())
	return response{http.StatusOK, v.Event}
}

func presentDeletedEvent(rpc.Nothing) any { return message{"The event has been deleted."} }

// ifMatch parses the header If-Match (RFC 9110, section 13.1.1). It returns the versions
// of the listed entity tags, or nil if every version matches. Weak tags match no version,
// and neither do strong tags that are not an event's.
func (p *params) ifMatch() []int64 {
	lines := p.Request().Header.PeekAll(fiber.HeaderIfMatch)
	if len(lines) == 0 {
		return nil
	}
	tags, isAny, ok := negotiate.EntityTags(lines)
	switch {
	case isAny:
		return nil
	case !ok:
		p.Add(fiber.HeaderIfMatch, "invalid", `must be * or a list of entity tags, for example "3-7"`)
	}
	versions := []int64{}
	for _, tag := range tags {
		if version, ok := eventapi.ParseETag(tag); ok {
			versions = append(versions, version)
		}
	}
	return versions
}

func bindListEvents(c *call) (eventapi.ListRequest, error) {
	p := params{call: c}
	req := eventapi.ListRequest{
		PageRequest: p.page(), ByAdmin: c.byAdmin(),
		Category: p.text("category"), Status: p.text("status"), From: p.time("from"), To: p.time("to"), Sort: p.text("sort"),
	}
	return req, p.queryErr()
}

func bindListOrganizerEvents(c *call) (eventapi.ListRequest, error) {
	p := params{call: c}
	organizerID := p.id("organizerId")
	if err := p.Err(); err != nil {
		return eventapi.ListRequest{}, err
	}
	req, err := bindListEvents(c)
	req.OrganizerID = organizerID
	return req, err
}

func bindSearchEvents(c *call) (eventapi.SearchRequest, error) {
	p := params{call: c}
	req := eventapi.SearchRequest{PageRequest: p.page(), ByAdmin: c.byAdmin(), Term: p.pathText("searchTerm")}
	return req, p.queryErr()
}

func presentEvents(p contract.Page[eventapi.Event]) representation {
	return representation{body: newList(p)}
}

func bindGetEvent(c *call) (eventapi.GetRequest, error) {
	p := params{call: c}
	req := eventapi.GetRequest{EventID: p.id("eventId"), ByAdmin: c.byAdmin()}
	return req, p.Err()
}

func presentEvent(v eventapi.Versioned) representation {
	r := representation{body: v.Event, etag: v.ETag(), version: v.SeatsVersion}
	if v.CopiedAt != nil {
		r.asOf = v.CopiedAt.Time
	}
	return r
}

func presentAvailability(s eventapi.Seats) representation {
	return representation{body: s.Availability, version: s.Version, status: s.Status}
}

// matchesETag reports whether the header If-None-Match of the request lists etag. It uses
// the weak comparison that RFC 9110, section 13.1.2, requires. A malformed header matches
// nothing.
func matchesETag(c *call, etag string) bool {
	lines := c.Request().Header.PeekAll(fiber.HeaderIfNoneMatch)
	if len(lines) == 0 {
		return false
	}
	tags, isAny, ok := negotiate.EntityTags(lines)
	return ok && (isAny || slices.ContainsFunc(tags, func(tag string) bool { return strings.TrimPrefix(tag, "W/") == etag }))
}
