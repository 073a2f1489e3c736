package e2e_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// TestStartFails gives the command what it cannot start on: it says why in one
// line and exits with 1.
func TestStartFails(t *testing.T) {
	used := t.TempDir()
	running := start(t, "", used)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	closed := filepath.Join(t.TempDir(), "closed")
	must(t, os.Mkdir(closed, 0o500))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()

	tests := []struct {
		name, want string
		args       []string
		nobody     bool // as a user who may write nothing there
	}{
		{"port taken", "address already in use", []string{"--listen", taken.Addr().String(), "--data", t.TempDir()}, false},
		{"folder in use", "in use by another process", []string{"--data", used}, false},
		{"folder is a file", "not a directory", []string{"--data", file}, false},
		{"folder below a file", "not a directory", []string{"--data", filepath.Join(file, "data")}, false},
		{"folder not writable", "permission denied", []string{"--data", closed}, true},
		{"folder cannot be made", "permission denied", []string{"--data", filepath.Join(closed, "data")}, true},
		{"manifest garbled", "", []string{"--data", damaged(t, "MANIFEST-*", func(b []byte) []byte { return []byte(strings.Repeat("junk", len(b)/4)) })}, false},
		{"manifest gone", "", []string{"--data", damaged(t, "MANIFEST-*", nil)}, false},
		{"table gone", "", []string{"--data", damaged(t, "*.sst", nil)}, false},
		{"argument", "unexpected argument", []string{"serve"}, false},
		{"port not a number", "", []string{"--listen", "127.0.0.1:mongo-db-port", "--data", t.TempDir()}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(commandPath(t), append([]string{"--listen", "127.0.0.1:0"}, test.args...)...)
			if test.nobody && os.Getuid() == 0 {
				asNobody(t, cmd, closed)
			}
			p, stdout := launch(t, cmd)
			go io.Copy(io.Discard, stdout)
			code := p.wait(t)
			said := p.stderr.String()
			if code != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "mongolite: ") || !strings.Contains(said, test.want) {
				t.Errorf("got exit %d and %q, want 1 and one line with %q", code, said, test.want)
			}
		})
	}
	if _, err := connect(t, running.addr).Database("x").Collection("x").InsertOne(deadline(t), bson.D{{"_id", 1}}); err != nil {
		t.Errorf("the server whose folder another wanted: %v", err)
	}
}

// asNobody runs the command as a user who is not root, and lets that user
// reach the program and the folder.
func asNobody(t *testing.T, cmd *exec.Cmd, dir string) {
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	must(t, os.Chmod(command.dir, 0o755))
	for ; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		must(t, err)
		must(t, os.Chmod(dir, info.Mode()|0o055))
	}
}

// damaged returns a folder in which a file was changed, or removed.
func damaged(t *testing.T, pattern string, change func([]byte) []byte) string {
	dir := t.TempDir()
	for range 2 { // the second start writes what the first left in its log to a table
		p := start(t, "", dir)
		_, err := connect(t, p.addr).Database("x").Collection("x").InsertOne(deadline(t), bson.D{{"a", "b"}})
		must(t, err)
		p.kill(t)
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no %s to damage", pattern)
	}
	for _, file := range files {
		if change == nil {
			must(t, os.Remove(file))
			continue
		}
		old, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, change(old), 0o600))
	}
	return dir
}

// TestTermination ends the command under load: it exits with 0 soon, and what
// it acknowledged is there at the next start.
func TestTermination(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			p := start(t, "", dir)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			coll := connect(t, p.addr, options.Client().SetRetryWrites(false)).Database("term").Collection("docs")
			var mu sync.Mutex
			acked := map[int64]bool{}
			var next, enough atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						id := next.Add(1)
						if _, err := coll.InsertOne(ctx, bson.D{{"_id", id}}); err != nil {
							return
						}
						mu.Lock()
						acked[id] = true
						mu.Unlock()
						enough.Add(1)
					}
				})
			}
			eventually(t, "writes", func() bool { return enough.Load() > 100 })
			must(t, p.cmd.Process.Signal(signal))
			if code := p.wait(t); code != 0 || p.stderr.String() != "" {
				t.Errorf("got exit %d and %q, want 0 and nothing said", code, p.stderr)
			}
			cancel()
			within(t, "writers whose server is gone", wg.Wait)
			p = start(t, "", dir)
			missing(t, p.addr, "term", acked)
		})
	}
}

// missing fails the test for what was acknowledged and is not there.
func missing(t *testing.T, addr, db string, acked map[int64]bool) (there map[int64]bool) {
	t.Helper()
	coll := connect(t, addr).Database(db).Collection("docs")
	var docs []struct {
		ID int64 `bson:"_id"`
	}
	ctx := deadline(t)
	cur, err := coll.Find(ctx, bson.D{}, options.Find().SetProjection(bson.D{{"_id", 1}}))
	must(t, err)
	must(t, cur.All(ctx, &docs))
	there = map[int64]bool{}
	for _, doc := range docs {
		there[doc.ID] = true
	}
	for id := range acked {
		if !there[id] {
			t.Errorf("document %d was acknowledged and is missing", id)
		}
	}
	agree(t, coll)
	return there
}

// TestStartFailsInProcess starts a second server on a folder, and on a port.
func TestStartFailsInProcess(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, server.Config{Data: dir})
	if _, err := server.Start(withDefaults(t, server.Config{Data: dir})); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server on a folder: got %v", err)
	}
	if _, err := server.Start(withDefaults(t, server.Config{Listen: s.Addr()})); err == nil {
		t.Error("a second server on a port started")
	}
	closeServer(t, s)
	closeServer(t, s)
	again := serve(t, server.Config{Data: dir, Listen: s.Addr()})
	if again.Addr() != s.Addr() {
		t.Errorf("got %s, want %s", again.Addr(), s.Addr())
	}
}

// TestCommandThatCannotWrite lets the command reach the largest file that it
// may write, which is its full disk: it says so and exits with 1, and the next
// start has all that was acknowledged.
func TestCommandThatCannotWrite(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `ulimit -f 2048 && exec "$0" "$@"`, commandPath(t), "--listen", "127.0.0.1:0", "--data", dir)
	p := startCommand(t, cmd)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	coll := connect(t, p.addr, options.Client().SetRetryWrites(false)).Database("limit").Collection("docs")
	var mu sync.Mutex
	acked := map[int64]bool{}
	var next atomic.Int64
	parallel(4, func(int) {
		for {
			id := next.Add(1)
			_, err := coll.InsertOne(ctx, bson.D{{"_id", id}, {"pad", strings.Repeat("x", 5000)}})
			if errors.Is(err, context.DeadlineExceeded) {
				t.Error("a write hangs, or none fails")
			}
			if err != nil {
				cancel() // the others need not look for a server that is gone
				return
			}
			mu.Lock()
			acked[id] = true
			mu.Unlock()
		}
	})
	if code, said := p.wait(t), p.stderr.String(); code != 1 || !strings.HasPrefix(said, "mongolite: ") || !strings.Contains(said, "file too large") || strings.Count(said, "\n") != 1 {
		t.Errorf("got exit %d and %q, want 1 and one line that says why", code, said)
	}
	if len(acked) == 0 {
		t.Error("nothing was acknowledged before")
	}
	missing(t, start(t, "", dir).addr, "limit", acked)
}
