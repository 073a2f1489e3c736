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
	apiToken = "test-token"
	deadline = 20 * time.Second // limits every wait
)

// component is a Dapr component. Its name is its type.
type component struct {
	kind     string
	metadata map[string]string
}

// yaml returns the component's resource.
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
	ports map[string]int // by the flag that sets the port
	done  chan struct{}  // closed when the process has exited
}

// start starts daprd with the components and with all its listeners, and waits
// until it is ready. It is killed when t ends. The sidecar resolves names through a
// SQLite file, because mDNS would use the network.
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
	s.cmd.Env = append(env, "DAPR_API_TOKEN="+apiToken) // nothing is inherited
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		defer log.Close()
		_ = s.cmd.Wait() // ProcessState holds the outcome
	}()
	t.Cleanup(func() {
		<-s.done // t's context ends before the cleanups run, and its end kills the process
		if t.Failed() {
			t.Logf("daprd's log:\n%s", s.log(t))
		}
	})

	eventually(t, "the sidecar is ready", func() bool {
		if s.ended() {
			t.Fatalf("daprd exited before it was ready: %s", s.cmd.ProcessState)
		}
		r, err := s.try(t, http.MethodGet, "/v1.0/healthz/outbound", "", nil)
		return err == nil && r.status == http.StatusNoContent
	})
	return s
}

// ended reports whether the process has exited.
func (s *sidecar) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// log returns the sidecar's log so far.
func (s *sidecar) log(t *testing.T) string {
	t.Helper()
	return readFile(t, filepath.Join(s.cmd.Dir, "log"))
}

// names returns the contents of the SQLite files with the registered names. SQLite
// stores strings unencoded, so a name can be searched for.
func (s *sidecar) names(t *testing.T) string {
	t.Helper()
	db := filepath.Join(s.cmd.Dir, "names.db")
	return readFile(t, db) + readFile(t, db+"-wal")
}

// eventually waits until ok returns true. It fails t after the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("timed out after %s waiting until %s", deadline, what)
		}
	}
}

// response is a response of the sidecar's HTTP API.
type response struct {
	status     int
	etag, body string
}

// do sends a request to the sidecar's HTTP API and fails t if there is no
// response. It sends the valid token and the content type JSON, unless header
// overrides them.
func (s *sidecar) do(t *testing.T, method, path, body string, header http.Header) response {
	t.Helper()
	r, err := s.try(t, method, path, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try is like do, but returns the error. It is for a sidecar that may not be
// listening.
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

// freePorts returns a different free port for each flag that takes one. The ports
// lie below Linux's ephemeral range, so that no outgoing connection takes one
// before the sidecar binds it.
func freePorts(t *testing.T) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, flag := range []string{
		"dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "dapr-public-port", "metrics-port", "profile-port",
	} {
		for tries := 0; ports[flag] == 0; tries++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30000+rand.IntN(2700)))
			if err != nil {
				if tries > 100 {
					t.Fatal(err)
				}
				continue
			}
			defer l.Close() // keep it open until all are chosen, so that none repeats
			ports[flag] = l.Addr().(*net.TCPAddr).Port
		}
	}
	return ports
}

// listening returns the addresses on which a process accepts TCP connections or
// receives UDP packets, sorted. It reads Linux's /proc.
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
			// The fields are: 0 slot, 1 local address, 3 state, 9 inode.
			if f := strings.Fields(line); len(f) > 9 && f[3] == state && inodes[f[9]] {
				addrs = append(addrs, parseAddr(t, f[1]))
			}
		}
	}
	slices.Sort(addrs)
	return addrs
}

// socketInodes returns the inodes of the sockets that a process has open.
func socketInodes(t *testing.T, proc string) map[string]bool {
	t.Helper()
	fds, err := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, fd := range fds {
		target, _ := os.Readlink(fd) // fails if the descriptor was closed meanwhile
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

// parseAddr parses an address of /proc/net, such as "0100007F:1F90". The IP address
// consists of 32-bit words in the machine's byte order.
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
