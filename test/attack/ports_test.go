package attack_test

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Another machine must reach no port of Boxoffice with its default settings: neither the
// gateway's nor those that a token protects, and above all not the internal ports of the
// sidecars, which ask for no token.
func TestNoPortIsOpenToOtherMachines(t *testing.T) {
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		t.Skip("needs Linux's /proc")
	}
	names := []string{"nats", "redis", "mongo"}
	if running.Sentry != "" {
		names = append(names, "sentry")
	}
	for _, i := range running.Instances {
		names = append(names, i.Name, i.Name+"-daprd")
	}
	for _, name := range names {
		pid, err := running.PID(name)
		if err != nil {
			t.Fatal(err)
		}
		addresses := listeners(t, pid)
		if len(addresses) == 0 {
			t.Errorf("%s listens on no port: the test does not find its ports", name)
		}
		for _, address := range addresses {
			if !address.IsLoopback() {
				t.Errorf("%s listens on %s, want a loopback address", name, address)
			}
		}
	}
}

// parseAddress parses an IP address of /proc/net: words of 32 bits in the byte order of the
// machine, in hexadecimal.
func parseAddress(t *testing.T, text string) netip.Addr {
	t.Helper()
	ip, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(ip); i += 4 {
		binary.NativeEndian.PutUint32(ip[i:], binary.BigEndian.Uint32(ip[i:]))
	}
	address, ok := netip.AddrFromSlice(ip)
	if !ok {
		t.Fatalf("%s is no address", text)
	}
	return address.Unmap()
}

// listeners returns the addresses on which a process accepts TCP connections.
func listeners(t *testing.T, pid int) []netip.Addr {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	descriptors, err := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]bool{}
	for _, d := range descriptors {
		target, _ := os.Readlink(d) // fails if the descriptor was closed meanwhile
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	var addresses []netip.Addr
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// The fields are: 0 slot, 1 local address, 3 state (0A is "listen"), 9 inode.
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && sockets[f[9]] {
				address, _, _ := strings.Cut(f[1], ":")
				addresses = append(addresses, parseAddress(t, address))
			}
		}
	}
	return addresses
}
