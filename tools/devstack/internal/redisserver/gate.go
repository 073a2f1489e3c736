package redisserver

import (
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2/server"
)

// gate knows which clients have sent the password. miniredis knows it too, but does not tell
// its hooks, which run before its own check.
type gate struct {
	password string // empty if clients need none

	mu     sync.Mutex
	passed map[*server.Peer]struct{} // until they disconnect
}

func newGate(password string) *gate {
	return &gate{password: password, passed: map[*server.Peer]struct{}{}}
}

// observe records a client whose command is AUTH or HELLO with the password.
func (g *gate) observe(peer *server.Peer, cmd string, args []string) {
	if g.password == "" || !sendsPassword(cmd, args, g.password) || g.isOpen(peer) {
		return
	}
	g.mu.Lock()
	g.passed[peer] = struct{}{}
	g.mu.Unlock()
	peer.OnDisconnect(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.passed, peer)
	})
}

// sendsPassword reports whether a command is "AUTH [user] password" or
// "HELLO version AUTH user password".
func sendsPassword(cmd string, args []string, password string) bool {
	switch strings.ToUpper(cmd) {
	case "AUTH":
		return len(args) > 0 && args[len(args)-1] == password
	case "HELLO":
		return len(args) >= 4 && strings.EqualFold(args[1], "AUTH") && args[3] == password
	}
	return false
}

// isOpen reports whether the client may use the server.
func (g *gate) isOpen(peer *server.Peer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.passed[peer]
	return ok || g.password == ""
}
