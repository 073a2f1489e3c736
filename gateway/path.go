package main

import (
	"bytes"
	"encoding/hex"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// askedPathKey names the user value with the path as the client sent it, if it differs from
// the path that is routed.
const askedPathKey = "asked path"

// normalizePath decodes the percent-encoded unreserved characters in the path of a request
// (RFC 3986, section 6.2.2.2), so that all spellings of a path have the same route and
// parameters. It leaves every other encoding as it is: an encoded slash does not separate
// segments, and an encoded percent sign encodes nothing.
func normalizePath(c *fasthttp.RequestCtx) {
	asked := c.URI().PathOriginal()
	if bytes.IndexByte(asked, '%') < 0 {
		return
	}
	normal := decodeUnreserved(asked)
	if len(normal) == len(asked) {
		return
	}
	c.SetUserValue(askedPathKey, string(asked))
	c.URI().SetPathBytes(normal)
}

// decodeUnreserved returns a copy of path with its encoded unreserved characters decoded.
func decodeUnreserved(path []byte) []byte {
	normal := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		b := path[i]
		if b == '%' && i+2 < len(path) {
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], path[i+1:i+3]); err == nil && isUnreserved(decoded[0]) {
				b = decoded[0]
				i += 2
			}
		}
		normal = append(normal, b)
	}
	return normal
}

// isUnreserved reports whether b is an unreserved character (RFC 3986, section 2.3).
func isUnreserved(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '.' || b == '_' || b == '~'
}

// askedPath returns the path of the request as the client sent it. For a request that could
// not be parsed, it is the path in the request line, if that was read, and otherwise "/".
func askedPath(c *fiber.Ctx) string {
	if asked, ok := c.Context().UserValue(askedPathKey).(string); ok {
		return asked
	}
	if conn, ok := c.Context().Conn().(*requestConn); ok && len(c.Context().Request.Header.RequestURI()) <= 1 {
		if _, path, ok := conn.requestLine(); ok {
			return path
		}
	}
	return c.Path()
}
