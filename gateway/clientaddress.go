package main

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// clientAddress returns the client's IP address. If the connection comes from a
// trusted proxy, that is the last address in X-Forwarded-For that is not a trusted
// proxy. Otherwise it is the remote address of the connection.
func (s *Server) clientAddress(c *fiber.Ctx) string {
	peer := peerOf(c)
	if !s.isTrusted(peer) {
		s.warnForwarded(c)
		return peer.String()
	}
	// Repeated headers form one list (RFC 9110, section 5.3). A proxy may add its own
	// header after the client's.
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		text := strings.TrimSpace(hops[i])
		if text == "" {
			continue // empty elements do not count
		}
		hop, err := netip.ParseAddr(text)
		if err != nil {
			break // the entries before a malformed one cannot be trusted
		}
		if peer = hop.Unmap(); !s.isTrusted(peer) {
			break
		}
	}
	return peer.String()
}

// forwardedInterval is the minimum time between two warnings about forwarding headers.
const forwardedInterval = time.Minute

// warnForwarded logs a warning if the request has a forwarding header, although it does not
// come from a trusted proxy. Either a client made the header up, or TRUSTED_PROXIES lacks a
// proxy, and all clients of that proxy share one rate limit. Like the access log, the
// warning contains no address.
func (s *Server) warnForwarded(c *fiber.Ctx) {
	now, last := s.now().UnixNano(), s.forwardedAt.Load()
	if last != 0 && now-last < int64(forwardedInterval) {
		return
	}
	header := &c.Request().Header
	if len(header.Peek(fiber.HeaderXForwardedFor)) == 0 && len(header.Peek(fiber.HeaderXForwardedProto)) == 0 {
		return
	}
	if s.forwardedAt.CompareAndSwap(last, now) {
		s.log.WarnContext(c.UserContext(), "forwarding headers were ignored, because the peer is not in TRUSTED_PROXIES")
	}
}

// peerOf returns the remote address of the connection, or the zero Addr if it is not
// an IP address.
func peerOf(c *fiber.Ctx) netip.Addr {
	addr, err := netip.ParseAddrPort(c.Context().RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

// isTrusted reports whether peer is a proxy whose forwarding headers are trusted.
func (s *Server) isTrusted(peer netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// isSecure reports whether the client used HTTPS, either to the gateway or to a
// trusted proxy.
func (s *Server) isSecure(c *fiber.Ctx) bool {
	return c.Context().IsTLS() || s.isTrusted(peerOf(c)) && strings.EqualFold(forwardedProto(c), "https")
}

// forwardedProto returns the last element of X-Forwarded-Proto, which the nearest proxy has
// added. Like any list, the header may have several field lines.
func forwardedProto(c *fiber.Ctx) string {
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedProto)
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return string(bytes.TrimSpace(last[bytes.LastIndexByte(last, ',')+1:]))
}
