package main

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/telemetry"
)

// logRequest writes the one log line of a request. The line contains no body, token,
// e-mail address or client address.
func (s *Server) logRequest(c *fiber.Ctx, route string, began time.Time, err error) {
	attrs := []slog.Attr{
		slog.String(telemetry.KeyRequestID, string(c.Response().Header.Peek(fiber.HeaderXRequestID))),
		slog.String(telemetry.KeyMethod, c.Method()),
		slog.String(telemetry.KeyRoute, route),
		slog.Int(telemetry.KeyStatus, c.Response().StatusCode()),
		slog.Float64(telemetry.KeyDuration, float64(s.now().Sub(began).Microseconds())/1000),
	}
	if id, ok := c.Locals(callerKey).(string); ok {
		attrs = append(attrs, slog.String(telemetry.KeyUserID, id))
	}
	level := slog.LevelInfo
	if err != nil {
		p := problemOf(err)
		attrs = append(attrs, slog.String(telemetry.KeyReason, p.Code))
		if p.Status >= fiber.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.String(telemetry.KeyError, err.Error()))
		}
	}
	s.log.LogAttrs(c.UserContext(), level, "request", attrs...)
}

// noRoute is logged as the route of a request that no route matches.
const noRoute = "none"

// routeOf returns the path pattern of the route that matched the request, or noRoute.
// If only the middleware matched, Fiber reports its path, "/".
func routeOf(c *fiber.Ctx) string {
	if path := c.Route().Path; path != "/" {
		return path
	}
	return noRoute
}

// isProbe reports whether path is that of a liveness or readiness probe. Probes are
// neither traced nor logged.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }
