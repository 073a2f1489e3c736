package subnet_test

import (
	"net/netip"
	"testing"

	"boxoffice/shared/subnet"
)

func TestIPv6AddressesOfANetworkCountAsOne(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7":            "203.0.113.7",
		"::ffff:203.0.113.7":     "203.0.113.7",
		"2001:db8:1:2::1":        "2001:db8:1:2::/64",
		"2001:db8:1:2:f:f:f:f":   "2001:db8:1:2::/64",
		"2001:DB8:1:2:0:0:0:a":   "2001:db8:1:2::/64",
		"2001:db8:1:3::1":        "2001:db8:1:3::/64",
		"fe80::1%eth0":           "fe80::/64",
		"fe80::2%eth1":           "fe80::/64",
		"::1":                    "::/64",
		"::ffff:203.0.113.7%eth": "203.0.113.7",
		"":                       "",
		"invalid IP":             "invalid IP",
	} {
		if got := subnet.Of(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
		addr, err := netip.ParseAddr(address)
		if err != nil {
			continue
		}
		network := subnet.OfAddr(addr).String()
		if addr.Unmap().Is4() {
			want += "/32"
		}
		if network != want {
			t.Errorf("%q: got the prefix %s, want %s", address, network, want)
		}
	}
	if got := subnet.OfAddr(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: got %s, want the zero Prefix", got)
	}
}
