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

func presentCreatedEvent(c *call, v eventapi.Versioned) answer {
	c.Set(fiber.HeaderLocation, "/api/events/"+v.Event.ID)
	c.Set(fiber.HeaderETag, v.ETag())
	return answer{http.StatusCreated, v.Event}
}

func bindListEvents(c *call) (eventapi.ListRequest, error) {
	q := query{call: c}
	req := eventapi.ListRequest{
		PageRequest: q.page(), ByAdmin: c.byAdmin(),
		Category: q.text("category"), Status: q.text("status"), From: q.time("from"), To: q.time("to"), Sort: q.text("sort"),
	}
	return req, q.listErr()
}

func presentEvents(c *call, p contract.Page[eventapi.Event]) answer {
	cacheable(c)
	return answer{http.StatusOK, listOf(p)}
}

func bindGetEvent(c *call) (eventapi.GetRequest, error) {
	q := query{call: c}
	req := eventapi.GetRequest{EventID: q.id("eventId"), ByAdmin: c.byAdmin()}
	return req, q.Err()
}

func presentEvent(c *call, v eventapi.Versioned) answer {
	cacheable(c)
	c.Set(fiber.HeaderETag, v.ETag())
	if hasTag(c.Get(fiber.HeaderIfNoneMatch), v.ETag()) {
		return answer{status: http.StatusNotModified}
	}
	return answer{http.StatusOK, v.Event}
}

func presentAvailability(c *call, a eventapi.Availability) answer {
	cacheable(c)
	return answer{http.StatusOK, a}
}

// cacheable lets everybody's answer be kept for a second. An admin sees drafts.
func cacheable(c *call) {
	c.Set(fiber.HeaderVary, fiber.HeaderAuthorization)
	if c.byAdmin() {
		c.Set(fiber.HeaderCacheControl, "private, no-store")
		return
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=1")
}

// hasTag reports whether an If-None-Match names a tag, which holds no comma. A
// weak one is as good.
func hasTag(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
