package servers

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"boxoffice/test/kit"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// StartRedis starts an empty miniredis that Dapr's components accept as a primary.
// Its clock advances only when the test advances it.
func StartRedis(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.RunT(t)
	m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if !strings.EqualFold(cmd, "INFO") {
			return false
		}
		p.WriteBulk("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
		return true
	})
	return m
}

// EachRedis runs fn in one subtest with miniredis, and in another with redis-server if
// it is on the PATH. fn receives the address of an empty server.
func EachRedis(t *testing.T, fn func(t *testing.T, addr string)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { fn(t, miniredis.RunT(t).Addr()) })
	t.Run("redis-server", func(t *testing.T) {
		path, err := exec.LookPath("redis-server")
		if err != nil {
			t.Skip("redis-server is not on the PATH")
		}
		fn(t, startRedisServer(t, path))
	})
}

func startRedisServer(t *testing.T, path string) string {
	t.Helper()
	port := kit.FreePort(t)
	//nolint:gosec,noctx // found on the PATH; ended by its cleanup
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	start(t, cmd)
	return awaitListening(t, port)
}
