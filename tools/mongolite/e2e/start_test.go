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

// TestCommandThatCannotStartPrintsReason starts the command in situations in which
// it cannot serve. It must print one line with the reason and exit with status 1.
func TestCommandThatCannotStartPrintsReason(t *testing.T) {
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
		asNobody   bool // run as a user without write permission
	}{
		{"port in use", "address already in use", []string{"--listen", taken.Addr().String(), "--data", t.TempDir()}, false},
		{"directory in use", "in use by another process", []string{"--data", used}, false},
		{"directory is a file", "not a directory", []string{"--data", file}, false},
		{"parent directory is a file", "not a directory", []string{"--data", filepath.Join(file, "data")}, false},
		{"directory is not writable", "permission denied", []string{"--data", closed}, true},
		{"directory cannot be created", "permission denied", []string{"--data", filepath.Join(closed, "data")}, true},
		{"manifest is corrupt", "", []string{"--data", damaged(t, "MANIFEST-*", func(b []byte) []byte { return []byte(strings.Repeat("junk", len(b)/4)) })}, false},
		{"manifest is missing", "", []string{"--data", damaged(t, "MANIFEST-*", nil)}, false},
		{"table is missing", "", []string{"--data", damaged(t, "*.sst", nil)}, false},
		{"unexpected argument", "unexpected argument", []string{"serve"}, false},
		{"port is not a number", "", []string{"--listen", "127.0.0.1:mongo-db-port", "--data", t.TempDir()}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(commandPath(t), append([]string{"--listen", "127.0.0.1:0"}, test.args...)...)
			if test.asNobody && os.Getuid() == 0 {
				runAsNobody(t, cmd, closed)
			}
			p, stdout := launch(t, cmd)
			go io.Copy(io.Discard, stdout)
			code := p.wait(t)
			stderr := p.stderr.String()
			if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "mongolite: ") || !strings.Contains(stderr, test.want) {
				t.Errorf("got exit status %d and stderr %q, want 1 and one line that contains %q", code, stderr, test.want)
			}
		})
	}
	if _, err := connect(t, running.addr).Database("x").Collection("x").InsertOne(deadline(t), bson.D{{"_id", 1}}); err != nil {
		t.Errorf("insert into the server whose directory was in use: %v", err)
	}
}

// runAsNobody makes cmd run as the user nobody. It lets that user reach the
// binary and dir.
func runAsNobody(t *testing.T, cmd *exec.Cmd, dir string) {
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	must(t, os.Chmod(command.dir, 0o755))
	for ; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		must(t, err)
		must(t, os.Chmod(dir, info.Mode()|0o055))
	}
}

// damaged returns a data directory in which the files that match pattern were
// replaced by the result of change, or removed if change is nil.
func damaged(t *testing.T, pattern string, change func([]byte) []byte) string {
	dir := t.TempDir()
	for range 2 { // the second start writes the log of the first one to a table
		p := start(t, "", dir)
		_, err := connect(t, p.addr).Database("x").Collection("x").InsertOne(deadline(t), bson.D{{"a", "b"}})
		must(t, err)
		p.kill(t)
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no file matches %s", pattern)
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

// TestSignalStopsCommandWithoutLoss sends SIGTERM or SIGINT to the command under
// load. It must exit with status 0, and the next start must have every write that
// it acknowledged.
func TestSignalStopsCommandWithoutLoss(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			p := start(t, "", dir)
			ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
			defer cancel()
			coll := connect(t, p.addr, options.Client().SetRetryWrites(false)).Database("term").Collection("docs")
			var mu sync.Mutex
			acked := map[int64]bool{}
			var next, count atomic.Int64
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
						count.Add(1)
					}
				})
			}
			eventually(t, "100 writes are acknowledged", func() bool { return count.Load() > 100 })
			must(t, p.cmd.Process.Signal(signal))
			if code := p.wait(t); code != 0 || p.stderr.String() != "" {
				t.Errorf("got exit status %d and stderr %q, want 0 and nothing", code, p.stderr)
			}
			cancel()
			within(t, "writers after the exit", wg.Wait)
			p = start(t, "", dir)
			checkAcknowledged(t, p.addr, "term", acked)
		})
	}
}

// checkAcknowledged fails the test for each acknowledged document that is missing
// from the collection "docs". It also checks the collection's indexes. It returns
// the _ids of all documents that it found.
func checkAcknowledged(t *testing.T, addr, db string, acked map[int64]bool) (found map[int64]bool) {
	t.Helper()
	coll := connect(t, addr).Database(db).Collection("docs")
	var docs []struct {
		ID int64 `bson:"_id"`
	}
	ctx := deadline(t)
	cur, err := coll.Find(ctx, bson.D{}, options.Find().SetProjection(bson.D{{"_id", 1}}))
	must(t, err)
	must(t, cur.All(ctx, &docs))
	found = map[int64]bool{}
	for _, doc := range docs {
		found[doc.ID] = true
	}
	for id := range acked {
		if !found[id] {
			t.Errorf("document %d was acknowledged and is missing", id)
		}
	}
	checkIndexes(t, coll)
	return found
}

// TestSecondServerOnDirectoryOrPortFails starts servers on a data directory and
// on a port that are in use. A server must be able to take over both once the
// first one is closed.
func TestSecondServerOnDirectoryOrPortFails(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, server.Config{Data: dir})
	if _, err := server.Start(withDefaults(t, server.Config{Data: dir})); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second server on a directory: got %v, want an error that says it is in use", err)
	}
	if _, err := server.Start(withDefaults(t, server.Config{Listen: s.Addr()})); err == nil {
		t.Error("second server on a port: got no error")
	}
	closeServer(t, s)
	closeServer(t, s)
	again := serve(t, server.Config{Data: dir, Listen: s.Addr()})
	if again.Addr() != s.Addr() {
		t.Errorf("address after the restart: got %s, want %s", again.Addr(), s.Addr())
	}
}

// TestCommandThatCannotWriteExitsWithoutLoss limits the size of the files that
// the command may write, which acts like a full disk. When the command reaches
// the limit, it must print one line with the reason and exit with status 1. The
// next start must have every write that it acknowledged.
func TestCommandThatCannotWriteExitsWithoutLoss(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `ulimit -f 2048 && exec "$0" "$@"`, commandPath(t), "--listen", "127.0.0.1:0", "--data", dir)
	p := startCommand(t, cmd)
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
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
				t.Error("insert: timed out, want an error at the size limit")
			}
			if err != nil {
				cancel() // stop the other writers
				return
			}
			mu.Lock()
			acked[id] = true
			mu.Unlock()
		}
	})
	if code, stderr := p.wait(t), p.stderr.String(); code != 1 || !strings.HasPrefix(stderr, "mongolite: ") || !strings.Contains(stderr, "file too large") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("got exit status %d and stderr %q, want 1 and one line with the reason", code, stderr)
	}
	if len(acked) == 0 {
		t.Error("got no acknowledged write, want some before the failure")
	}
	checkAcknowledged(t, start(t, "", dir).addr, "limit", acked)
}
