package servers

import (
	"net"
	"os/exec"
	"strconv"
	"testing"

	"boxoffice/test/kit"
)

// StartNATS starts an empty NATS server with JetStream, and returns its URL.
func StartNATS(t *testing.T) string {
	t.Helper()
	port := kit.FreePort(t)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd := exec.Command(build(t, "devstack"), "nats", "--listen", addr, "--data", t.TempDir()) //nolint:gosec,noctx // ended by its cleanup
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	start(t, cmd)
	return "nats://" + awaitListening(t, port)
}
