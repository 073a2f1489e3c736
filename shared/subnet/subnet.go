// Package subnet groups the addresses of clients into the networks by which limits count
// them.
package subnet

import "net/netip"

// bits6 is the length of the prefix that one IPv6 client usually has to itself (RFC 6177).
// The client may use any of the 2^64 addresses in it.
const bits6 = 64

// Of returns the network by which limits count an address: the /64 of an IPv6 address, for
// example 2001:db8:1:2::/64, and an IPv4 address itself. An IPv4-mapped IPv6 address counts
// as the IPv4 address, and a zone is ignored. Of returns a text that is no IP address
// unchanged.
func Of(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Is4() {
		return address
	}
	if network := OfAddr(addr); network.Addr().Is6() {
		return network.String()
	}
	return addr.Unmap().String()
}

// OfAddr is like [Of], but returns a prefix. That of an IPv4 address is a /32, and that of
// the zero Addr is the zero Prefix.
func OfAddr(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = bits6
	}
	network, err := addr.Prefix(bits)
	if err != nil { // addr is the zero Addr
		return netip.Prefix{}
	}
	return network
}
