//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boxoffice/tools/devstack/internal/ports"
)

// TestRefusals has something wrong in each case: devstack says in one line what
// and what to do, ends with status 1 and leaves nothing running.
func TestRefusals(t *testing.T) {
	file := func(name, content string) func(*testing.T, *tree) {
		return func(t *testing.T, tr *tree) {
			path := filepath.Join(tr.root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		damage func(*testing.T, *tree)
		args   []string
		want   []string
	}{
		"no Go toolchain": {
			damage: func(t *testing.T, tr *tree) { tr.env = append(tr.env, "PATH="+t.TempDir()) },
			want:   []string{"install Go"},
		},
		"an app that does not compile": {
			damage: file("apps/booking/main.go", "package main\n\nfunc main() { x }\n"),
			want:   []string{"build apps: apps/booking/main.go:3:15: undefined: x"},
		},
		"an app that does not start": {
			damage: file("apps/booking/main.go", "package main\n\nfunc main() { panic(\"no seats\") }\n"),
			want:   []string{"booking ended before it was ready", "exit status 2"},
		},
		"a run file with a mistake": {
			damage: file("dapr/dapr.yaml", "version: 1\nappps: []\n"),
			want:   []string{"dapr.yaml", "appps"},
		},
		"no run file": {
			damage: func(t *testing.T, tr *tree) {
				if err := os.Remove(filepath.Join(tr.root, "dapr/dapr.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"dapr.yaml", "no such file"},
		},
		"replicas of no app": {
			damage: func(*testing.T, *tree) {},
			args:   []string{"--replicas", "bookings=2"},
			want:   []string{`no app "bookings"`},
		},
		"half an admin": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "ADMIN_EMAIL=me@example.org") },
			want:   []string{"ADMIN_PASSWORD", "set both or none"},
		},
		"a MongoDB that is not there": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MONGOD=/nonexistent/mongod") },
			want:   []string{"$MONGOD", "/nonexistent/mongod"},
		},
		"a file for the data directory": {damage: file("data", ""), want: []string{"move it away"}},
		"a damaged list of processes":   {damage: file("data/pids", "?\n"), want: []string{"data/pids", "delete it"}},
		"damaged secrets":               {damage: file("data/secrets.json", "{"), want: []string{"secrets.json", "delete it"}},
		"a damaged admin":               {damage: file("data/admin.env", "?"), want: []string{"admin.env", "delete it"}},
		"a file for NATS's directory":   {damage: file("data/nats", ""), want: []string{"nats ended before it was ready", "data/nats", "move them away"}},
		"a file for MongoDB's directory": {
			damage: file("data/mongolite", ""),
			want:   []string{"data/mongolite", "move it away"},
		},
		"data of MongoDB that are none": {
			damage: file("data/mongolite/CURRENT", "?"),
			want:   []string{"mongo ended before it was ready", "data/mongolite", "move them away"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tt.damage(t, tr)
			r := tr.start(t, "up", append([]string{"--free-ports"}, tt.args...)...)
			got := r.refusal(t)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("it says %q, want %q in it", got, want)
				}
			}
			tr.awaitNone(t, nil)
		})
	}
}

// TestPortInUse has somebody listen where the gateway wants to. All other ports
// are free ones too, written into the run file, and the stores are the user's.
func TestPortInUse(t *testing.T) {
	pool := ports.NewPool(ports.SharedDir())
	defer pool.Close()
	take := func() int {
		port, err := pool.Take()
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	tr := newTree(t)
	tr.env = append(tr.env, "NATS_URL=nats://127.0.0.1:1", "REDIS_ADDR=127.0.0.1:1", "MONGO_URI=mongodb://127.0.0.1:1/")
	path := filepath.Join(tr.root, "dapr/dapr.yaml")
	text := read(t, path)
	gateway := take()
	for _, port := range []struct{ from, to int }{{8080, gateway}, {8083, take()}, {3500, take()}, {3503, take()}} {
		text = strings.ReplaceAll(text, fmt.Sprint(port.from), fmt.Sprint(port.to))
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", ports.Addr(gateway))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := tr.start(t, "up").refusal(t)
	for _, want := range []string{fmt.Sprintf("port %d is in use", gateway), "gateway", "--free-ports"} {
		if !strings.Contains(got, want) {
			t.Errorf("it says %q, want %q in it", got, want)
		}
	}
}
