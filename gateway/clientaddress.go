package main

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// clientAddress returns the client's IP address. If the connection comes from a
// trusted proxy, that is the last address in X-Forwarded-For that is not a trusted
// proxy. Otherwise it is the remote address of the connection.
func (s *Server) clientAddress(c *fiber.Ctx) string {
	peer := peerOf(c)
	if !s.isTrusted(peer) {
		return peer.String()
	}
	// Repeated headers form one list (RFC 9110, section 5.3). A proxy may add its own
	// header after the client's.
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // the entries before a malformed one cannot be trusted
		}
		if peer = hop.Unmap(); !s.isTrusted(peer) {
			break
		}
	}
	return peer.String()
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
	return c.Context().IsTLS() || s.isTrusted(peerOf(c)) && c.Get(fiber.HeaderXForwardedProto) == "https"
}
