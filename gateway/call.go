package main

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"

	"boxoffice/gateway/internal/negotiate"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/strictjson"
)

// call is a request that was admitted and authorized.
type call struct {
	*fiber.Ctx
	ctx     context.Context //nolint:containedctx // a call lives no longer than its request
	caller  *authapi.User   // nil for a guest
	address string          // the client's IP address
}

// byAdmin reports whether the caller is an admin.
func (c *call) byAdmin() bool { return c.caller != nil && c.caller.Role == authapi.RoleAdmin }

// decode parses the body with strictjson.Decode. It returns
// fiber.ErrUnsupportedMediaType unless the headers declare uncompressed JSON. The
// parameters of the media type have no meaning: JSON is always in UTF-8 (RFC 8259,
// sections 8.1 and 11).
func decode[T any](c *call) (T, error) {
	var body T
	header := &c.Request().Header
	// A compressed body is refused, because 64 KiB may expand to gigabytes.
	if !negotiate.IsMediaType(header.ContentType(), fiber.MIMEApplicationJSON) || !negotiate.IsIdentity(header.PeekAll(fiber.HeaderContentEncoding)) {
		return body, fiber.ErrUnsupportedMediaType
	}
	return body, strictjson.Decode(c.BodyRaw(), &body)
}

// device returns the client's address and user agent. The user agent is truncated to
// authapi.MaxUserAgent bytes. ToValidUTF8 removes what remains of a code point that
// the truncation split.
func (c *call) device() authapi.Device {
	agent := c.Get(fiber.HeaderUserAgent)
	agent = agent[:min(len(agent), authapi.MaxUserAgent)]
	return authapi.Device{Address: c.address, UserAgent: strings.ToValidUTF8(agent, "")}
}

// required returns an error that names the fields whose value is empty, or nil if
// there are none. Its arguments are alternating field names and values.
func required(pairs ...string) error {
	var missing []apperr.Field
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			missing = append(missing, apperr.Field{Field: pairs[i], Code: "required", Message: "is required"})
		}
	}
	if missing != nil {
		return apperr.InvalidFields(missing...)
	}
	return nil
}
