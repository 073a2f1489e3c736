package main

import (
	"context"
	"errors"
	"slices"
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

// bodyError lists the fields of a body that could not be decoded. withResponse asks the app
// which of the others are invalid, so that one response names every invalid field.
type bodyError []apperr.Field

// Error implements error.
func (e bodyError) Error() string { return "malformed fields in the body" }

// decode parses the body with strictjson.Decode. If fields are malformed, it returns the
// others and a bodyError. It returns
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
	err := strictjson.Decode(c.BodyRaw(), &body)
	if e, ok := errors.AsType[*apperr.Error](err); ok && len(e.Fields) > 0 {
		return body, bodyError(e.Fields)
	}
	return body, err
}

// device returns the client's address and user agent. The user agent is truncated to
// authapi.MaxUserAgent bytes. ToValidUTF8 removes what remains of a code point that
// the truncation split.
func (c *call) device() authapi.Device {
	agent := c.Get(fiber.HeaderUserAgent)
	agent = agent[:min(len(agent), authapi.MaxUserAgent)]
	return authapi.Device{Address: c.address, UserAgent: strings.ToValidUTF8(agent, "")}
}

// required returns the error of decoding a body, which also names the field if its value is
// empty. err is the result of decode.
func required(err error, field, value string) error {
	malformed, ok := errors.AsType[bodyError](err)
	isNamed := slices.ContainsFunc(malformed, func(f apperr.Field) bool { return f.Field == field })
	if err != nil && !ok || value != "" || isNamed {
		return err
	}
	return append(slices.Clone(malformed), apperr.Field{Field: field, Code: "required", Message: "is required"})
}
