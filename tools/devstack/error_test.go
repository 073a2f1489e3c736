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

// TestErrorsAreOneLine starts devstack with something wrong in each case. It must
// print one line that says what to do, exit with status 1 and leave no process
// running.
func TestErrorsAreOneLine(t *testing.T) {
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
		"an app does not compile": {
			damage: file("apps/booking/main.go", "package main\n\nfunc main() { x }\n"),
			want:   []string{"build apps: apps/booking/main.go:3:15: undefined: x"},
		},
		"an app does not start": {
			damage: file("apps/booking/main.go", "package main\n\nfunc main() { panic(\"no seats\") }\n"),
			want:   []string{"booking ended before it was ready", "exit status 2"},
		},
		"the run file has an unknown field": {
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
		"a value of MTLS that does not exist": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MTLS=yes") },
			want:   []string{"MTLS", "set it to 1"},
		},
		"an app without an access list": {
			damage: func(t *testing.T, tr *tree) {
				tr.env = append(tr.env, "MTLS=1")
				if err := os.Remove(filepath.Join(tr.root, "dapr/access/gateway.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"gateway has no access list", "no such file"},
		},
		"a lifetime of certificates that is no duration": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MTLS=1", "MTLS_CERT_TTL=day") },
			want:   []string{"MTLS_CERT_TTL", "such as 24h"},
		},
		"a lifetime of certificates that is too short": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MTLS=1", "MTLS_CERT_TTL=1s") },
			want:   []string{"use from 10s to"},
		},
		"a Sentry that does not start": {
			damage: func(t *testing.T, tr *tree) {
				tr.env = append(tr.env, "MTLS=1")
				file("tools/daprd/sentry/main.go", "package main\n\nfunc main() { panic(\"no key\") }\n")(t, tr)
			},
			want: []string{"sentry ended before it was ready", "exit status 2"},
		},
		"a Sentry that does not exist": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MTLS=1", "SENTRY=/nowhere/sentry") },
			want:   []string{"$SENTRY", "/nowhere/sentry"},
		},
		"replicas of an unknown app": {
			damage: func(*testing.T, *tree) {},
			args:   []string{"--replicas", "bookings=2"},
			want:   []string{`no app "bookings"`},
		},
		"an admin without a password": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "ADMIN_EMAIL=me@example.org") },
			want:   []string{"ADMIN_PASSWORD", "set both or none"},
		},
		"no program at $MONGOD": {
			damage: func(_ *testing.T, tr *tree) { tr.env = append(tr.env, "MONGOD=/nonexistent/mongod") },
			want:   []string{"$MONGOD", "/nonexistent/mongod"},
		},
		"the data directory is a file":     {damage: file("data", ""), want: []string{"move it away"}},
		"the list of processes is damaged": {damage: file("data/pids", "?\n"), want: []string{"data/pids", "delete it"}},
		"the secrets are damaged":          {damage: file("data/secrets.json", "{"), want: []string{"secrets.json", "delete it"}},
		"the credentials are damaged":      {damage: file("data/credentials.json", "{"), want: []string{"credentials.json", "delete it"}},
		"the users of NATS are missing": {
			damage: func(t *testing.T, tr *tree) {
				if err := os.Remove(filepath.Join(tr.root, "dapr/nats-server.conf")); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"users of nats", "nats-server.conf"},
		},
		"the admin is damaged":            {damage: file("data/admin.env", "?"), want: []string{"admin.env", "delete it"}},
		"the directory of NATS is a file": {damage: file("data/nats", ""), want: []string{"nats ended before it was ready", "data/nats", "move them away"}},
		"the directory of MongoDB is a file": {
			damage: file("data/mongolite", ""),
			want:   []string{"data/mongolite", "move it away"},
		},
		"the data of MongoDB are damaged": {
			damage: file("data/mongolite/CURRENT", "?"),
			want:   []string{"mongo ended before it was ready", "data/mongolite", "move them away"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tt.damage(t, tr)
			r := tr.start(t, "up", append([]string{"--free-ports"}, tt.args...)...)
			got := r.errorLine(t)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("devstack printed %q, want %q in it", got, want)
				}
			}
			tr.awaitNone(t, nil)
		})
	}
}

// TestPortInUseIsNamed listens on the gateway's port. The run file has free ports
// for the rest, and the stores are external, so that no other port is in use.
func TestPortInUseIsNamed(t *testing.T) {
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
	got := tr.start(t, "up").errorLine(t)
	for _, want := range []string{fmt.Sprintf("port %d is in use", gateway), "gateway", "--free-ports"} {
		if !strings.Contains(got, want) {
			t.Errorf("devstack printed %q, want %q in it", got, want)
		}
	}
}
