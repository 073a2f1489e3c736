//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// sourced returns the environment of a shell that has sourced the file.
func sourced(t *testing.T, path string) map[string]string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `. "$1" && exec env -0`, "sh", path)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// listeners returns the addresses on which a process listens.
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	owned := map[string]bool{}
	fds, err := filepath.Glob(procFile(pid, "fd/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			owned[target] = true
		}
	}
	var found []string
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		for line := range strings.Lines(read(t, procFile(pid, table))) {
			fields := strings.Fields(line) // sl, local address, remote address, state, ..., the tenth is the inode
			const listening = "0A"
			if len(fields) > 9 && fields[3] == listening && owned["socket:["+fields[9]+"]"] {
				found = append(found, address(t, fields[1]))
			}
		}
	}
	return found
}

// address parses an address of /proc/net/tcp: the IP address and the port in
// hexadecimal. The bytes of the IP address are in host order; the tests assume a
// little-endian host.
func address(t *testing.T, text string) string {
	t.Helper()
	ip, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	if ip != "0100007F" {
		return fmt.Sprintf("%s:%d", ip, number)
	}
	return fmt.Sprintf("127.0.0.1:%d", number)
}
