package e2e_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	appID    = "e2e"
	apiToken = "a token of the test"
	deadline = 20 * time.Second
)

// component is a Dapr component, called as its type.
type component struct {
	kind     string
	metadata map[string]string
}

func (c component) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\n", c.kind)
	fmt.Fprintf(&b, "spec:\n  type: %s\n  version: v1\n  ignoreErrors: true\n  metadata:\n", c.kind)
	for name, value := range c.metadata {
		fmt.Fprintf(&b, "  - {name: %s, value: %q}\n", name, value)
	}
	return b.String()
}

// sidecar is a running daprd.
type sidecar struct {
	cmd   *exec.Cmd
	ports map[string]int // by the flag that sets it
	done  chan struct{}  // closed when the process has ended
}

// start runs daprd with the components and every listener it has, waits until
// it answers and kills it when t ends. Its names are resolved in a file, since
// mDNS would talk to the network.
func start(t *testing.T, bin string, components []component, env []string, flags ...string) *sidecar {
	t.Helper()
	dir := t.TempDir()
	resources := filepath.Join(dir, "resources")
	if err := os.Mkdir(resources, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range components {
		writeFile(t, filepath.Join(resources, c.kind+".yaml"), c.yaml())
	}
	config := filepath.Join(dir, "config.yaml")
	writeFile(t, config, fmt.Sprintf(`apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: e2e}
spec:
  nameResolution:
    component: sqlite
    configuration: {connectionString: %q}
`, filepath.Join(dir, "names.db")))

	s := &sidecar{ports: freePorts(t), done: make(chan struct{})}
	args := []string{
		"--app-id", appID, "--resources-path", resources, "--config", config,
		"--placement-host-address", "", "--scheduler-host-address", "",
		"--enable-profiling",
	}
	for flag, port := range s.ports {
		args = append(args, "--"+flag, strconv.Itoa(port))
	}

	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.CommandContext(t.Context(), bin, append(args, flags...)...)
	s.cmd.Dir = dir
	s.cmd.Env = append(env, "DAPR_API_TOKEN="+apiToken) // and nothing of the caller's
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		defer log.Close()
		_ = s.cmd.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		<-s.done // killed when t's context ended, which is before this
		if t.Failed() {
			t.Logf("daprd's log:\n%s", s.log(t))
		}
	})

	eventually(t, "the sidecar is ready", func() bool {
		if s.ended() {
			t.Fatalf("daprd ended early: %s", s.cmd.ProcessState)
		}
		r, err := s.try(t, http.MethodGet, "/v1.0/healthz/outbound", "", nil)
		return err == nil && r.status == http.StatusNoContent
	})
	return s
}

func (s *sidecar) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *sidecar) log(t *testing.T) string {
	t.Helper()
	return readFile(t, filepath.Join(s.cmd.Dir, "log"))
}

// names returns SQLite's files of registered names as they are, which have
// texts in clear.
func (s *sidecar) names(t *testing.T) string {
	t.Helper()
	db := filepath.Join(s.cmd.Dir, "names.db")
	return readFile(t, db) + readFile(t, db+"-wal")
}

// eventually fails t when ok does not become true before the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

type response struct {
	status     int
	etag, body string
}

// do calls the sidecar's HTTP API and fails t when there is no answer. It sends
// the right token and JSON as the content's type; header overrules both.
func (s *sidecar) do(t *testing.T, method, path, body string, header http.Header) response {
	t.Helper()
	r, err := s.try(t, method, path, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try is do for when the sidecar may be away.
func (s *sidecar) try(t *testing.T, method, path, body string, header http.Header) (response, error) {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", s.ports["dapr-http-port"], path)
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Dapr-Api-Token", apiToken)
	req.Header.Set("Content-Type", "application/json")
	maps.Copy(req.Header, header)
	client := http.Client{Timeout: deadline}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{status: resp.StatusCode, etag: resp.Header.Get("Etag"), body: string(text)}, err
}

// freePorts returns a port for each flag that takes one. They lie below the
// range that Linux gives to outgoing connections, so that nothing takes them
// between this check and the sidecar's bind by accident.
func freePorts(t *testing.T) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, flag := range []string{
		"dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "dapr-public-port", "metrics-port", "profile-port",
	} {
		for tries := 0; ports[flag] == 0; tries++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
			if err != nil {
				if tries > 100 {
					t.Fatal(err)
				}
				continue
			}
			defer l.Close() // when all are chosen, so that none comes twice
			ports[flag] = l.Addr().(*net.TCPAddr).Port
		}
	}
	return ports
}

// listening returns the sorted addresses on which a process takes TCP
// connections or UDP packets, from Linux's /proc.
func listening(t *testing.T, pid int) []string {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	inodes := socketInodes(t, proc)
	var addrs []string
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// 0 slot, 1 local address, 3 state, 9 inode
			if f := strings.Fields(line); len(f) > 9 && f[3] == state && inodes[f[9]] {
				addrs = append(addrs, parseAddr(t, f[1]))
			}
		}
	}
	slices.Sort(addrs)
	return addrs
}

// socketInodes returns the sockets that a process holds open.
func socketInodes(t *testing.T, proc string) map[string]bool {
	t.Helper()
	fds, err := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, fd := range fds {
		target, _ := os.Readlink(fd) // one closed since then links to nothing
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

// parseAddr reads /proc's "0100007F:1F90": words in the machine's byte order.
func parseAddr(t *testing.T, s string) string {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	ip, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(ip); i += 4 {
		binary.NativeEndian.PutUint32(ip[i:], binary.BigEndian.Uint32(ip[i:]))
	}
	addr, ok := netip.AddrFromSlice(ip)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		t.Fatalf("not an address: %s", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)).String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
