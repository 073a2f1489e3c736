package main

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func bindCreateEvent(c *call) (eventapi.CreateRequest, error) {
	body, err := decode[eventapi.Definition](c)
	return eventapi.CreateRequest{EventID: newID(), OrganizerID: c.caller.ID, Event: body}, err
}

func presentCreatedEvent(c *call, v eventapi.Versioned) response {
	c.Set(fiber.HeaderLocation, "/api/events/"+v.Event.ID)
	c.Set(fiber.HeaderETag, v.ETag())
	return response{http.StatusCreated, v.Event}
}

func bindListEvents(c *call) (eventapi.ListRequest, error) {
	p := params{call: c}
	req := eventapi.ListRequest{
		PageRequest: p.page(), ByAdmin: c.byAdmin(),
		Category: p.text("category"), Status: p.text("status"), From: p.time("from"), To: p.time("to"), Sort: p.text("sort"),
	}
	return req, p.queryErr()
}

func presentEvents(c *call, p contract.Page[eventapi.Event]) response {
	setCacheHeaders(c)
	return response{http.StatusOK, newList(p)}
}

func bindGetEvent(c *call) (eventapi.GetRequest, error) {
	p := params{call: c}
	req := eventapi.GetRequest{EventID: p.id("eventId"), ByAdmin: c.byAdmin()}
	return req, p.Err()
}

func presentEvent(c *call, v eventapi.Versioned) response {
	setCacheHeaders(c)
	c.Set(fiber.HeaderETag, v.ETag())
	if matchesETag(c.Get(fiber.HeaderIfNoneMatch), v.ETag()) {
		return response{status: http.StatusNotModified}
	}
	return response{http.StatusOK, v.Event}
}

func presentAvailability(c *call, a eventapi.Availability) response {
	setCacheHeaders(c)
	return response{http.StatusOK, a}
}

// setCacheHeaders allows any cache to keep the response for one second. The response
// to an admin must not be cached, because it may contain drafts.
func setCacheHeaders(c *call) {
	c.Set(fiber.HeaderVary, fiber.HeaderAuthorization)
	if c.byAdmin() {
		c.Set(fiber.HeaderCacheControl, "private, no-store")
		return
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=1")
}

// matchesETag reports whether ifNoneMatch lists etag, which must not contain a comma.
// It uses the weak comparison that RFC 9110, section 13.1.2, requires.
func matchesETag(ifNoneMatch, etag string) bool {
	for listed := range strings.SplitSeq(ifNoneMatch, ",") {
		listed = strings.TrimSpace(listed)
		if listed == "*" || strings.TrimPrefix(listed, "W/") == etag {
			return true
		}
	}
	return false
}
