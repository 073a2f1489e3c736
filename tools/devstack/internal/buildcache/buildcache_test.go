package buildcache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/buildcache"
)

// tree writes files into a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// app returns a directory with a module: a program, a dependency that is replaced
// by a local module, and files that are not part of the program.
func app(t *testing.T) string {
	t.Helper()
	return tree(t, map[string]string{
		"app/go.mod": "module example.org/app\n\ngo 1.26\n\nrequire example.org/lib v0.0.0\n\nreplace example.org/lib => ../lib\n",
		"app/cmd/hello/main.go": `package main

import (
	_ "embed"

	"example.org/lib"
)

//go:embed page/index.html
var page string

func main() { println(lib.Name, page) }
`,
		"app/cmd/hello/page/index.html": "<p>hello</p>",
		"app/cmd/hello/main_test.go":    "package main\n",
		"app/cmd/hello/testdata/x":      "x",
		"app/docs/README.md":            "about",
		"app/other/go.mod":              "module example.org/other\n",
		"app/other/main.go":             "package main\n",
		"lib/go.mod":                    "module example.org/lib\n\ngo 1.26\n",
		"lib/lib.go":                    "package lib\n\nconst Name = \"lib\"\n",
	})
}

func target(dir string) buildcache.Target {
	return buildcache.Target{
		Name:     "app",
		Dir:      filepath.Join(dir, "app"),
		Packages: []string{"./cmd/hello"},
		Env:      []string{"GOWORK=off", "CGO_ENABLED=0"},
	}
}

// builder is a cache that counts its builds and collects its reports.
type builder struct {
	buildcache.Cache
	mu      sync.Mutex
	builds  int
	reports []string
}

func newBuilder(t *testing.T, run func(context.Context, buildcache.Command) error) *builder {
	t.Helper()
	b := &builder{}
	b.Cache = buildcache.Cache{
		Dir: filepath.Join(t.TempDir(), "bin"),
		Run: func(ctx context.Context, c buildcache.Command) error {
			b.mu.Lock()
			b.builds++
			b.mu.Unlock()
			return run(ctx, c)
		},
		Report: func(line string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports = append(b.reports, line)
		},
	}
	return b
}

// realGo runs the go command.
func realGo(ctx context.Context, c buildcache.Command) error {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	return cmd.Run()
}

// fakeGo creates an empty file in the place of the program.
func fakeGo(_ context.Context, c buildcache.Command) error {
	out := c.Args[slices.Index(c.Args, "-o")+1]
	return os.WriteFile(filepath.Join(out, "hello"), nil, 0o700)
}

func (b *builder) build(t *testing.T, target buildcache.Target) *buildcache.Built {
	t.Helper()
	built, err := b.Build(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func release(t *testing.T, built *buildcache.Built) {
	t.Helper()
	if err := built.Release(); err != nil {
		t.Error(err)
	}
}

func TestSecondBuildFindsTheProgram(t *testing.T) {
	dir := app(t)
	b := newBuilder(t, realGo)
	first := b.build(t, target(dir))
	defer release(t, first)
	out, err := exec.CommandContext(t.Context(), first.Binary("hello")).CombinedOutput()
	if got, want := string(out), "lib <p>hello</p>\n"; err != nil || got != want {
		t.Errorf("the program printed %q (%v), want %q", got, err, want)
	}
	if !first.Fresh {
		t.Error("the first build is not fresh")
	}
	second := b.build(t, target(dir))
	defer release(t, second)
	if second.Fresh || second.Dir != first.Dir || b.builds != 1 {
		t.Errorf("second build: got fresh %t, directory %s and %d builds, want false, %s and 1", second.Fresh, second.Dir, b.builds, first.Dir)
	}
	if want := "built app in "; len(b.reports) == 0 || !strings.HasPrefix(b.reports[len(b.reports)-1], want) {
		t.Errorf("got reports %q, want the last one to begin with %q", b.reports, want)
	}
}

func TestChangeOfContentCausesABuild(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, dir string, target *buildcache.Target)
		fresh  bool
	}{
		"nothing": {change: func(*testing.T, string, *buildcache.Target) {}},
		"a source file": {
			change: func(t *testing.T, dir string, _ *buildcache.Target) {
				write(t, filepath.Join(dir, "app/cmd/hello/more.go"), "package main\n")
			},
			fresh: true,
		},
		"an embedded file": {
			change: func(t *testing.T, dir string, _ *buildcache.Target) {
				write(t, filepath.Join(dir, "app/cmd/hello/page/index.html"), "<p>bye</p>")
			},
			fresh: true,
		},
		"a local module that replaces a dependency": {
			change: func(t *testing.T, dir string, _ *buildcache.Target) {
				write(t, filepath.Join(dir, "lib/lib.go"), "package lib\n\nconst Name = \"new\"\n")
			},
			fresh: true,
		},
		"go.sum": {
			change: func(t *testing.T, dir string, _ *buildcache.Target) {
				write(t, filepath.Join(dir, "app/go.sum"), "example.org/x v1.0.0 h1:x\n")
			},
			fresh: true,
		},
		"the flags":       {change: func(_ *testing.T, _ string, t *buildcache.Target) { t.Flags = []string{"-trimpath"} }, fresh: true},
		"the environment": {change: func(_ *testing.T, _ string, t *buildcache.Target) { t.Env = append(t.Env, "GOARCH=arm64") }, fresh: true},
		"a test": {change: func(t *testing.T, dir string, _ *buildcache.Target) {
			write(t, filepath.Join(dir, "app/cmd/hello/main_test.go"), "package main_test\n")
		}},
		"test data": {change: func(t *testing.T, dir string, _ *buildcache.Target) {
			write(t, filepath.Join(dir, "app/cmd/hello/testdata/x"), "y")
		}},
		"docs": {change: func(t *testing.T, dir string, _ *buildcache.Target) {
			write(t, filepath.Join(dir, "app/docs/README.md"), "more")
		}},
		"a nested module": {change: func(t *testing.T, dir string, _ *buildcache.Target) {
			write(t, filepath.Join(dir, "app/other/main.go"), "package main\n\nfunc main() {}\n")
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := app(t)
			b := newBuilder(t, fakeGo)
			target := target(dir)
			release(t, b.build(t, target))
			tt.change(t, dir, &target)
			again := b.build(t, target)
			defer release(t, again)
			if again.Fresh != tt.fresh {
				t.Errorf("built again: %t, want %t", again.Fresh, tt.fresh)
			}
		})
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	t.Run("compile error", func(t *testing.T) {
		dir := app(t)
		write(t, filepath.Join(dir, "app/cmd/hello/main.go"), "package main\n\nfunc main() {\n\tx\n\ty\n}\n")
		_, err := newBuilder(t, realGo).Build(t.Context(), target(dir))
		if want := "build app: cmd/hello/main.go:4:2: undefined: x (and 1 more lines)"; err == nil || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
	})
	t.Run("no toolchain", func(t *testing.T) {
		dir := app(t)
		t.Setenv("PATH", t.TempDir())
		_, err := newBuilder(t, realGo).Build(t.Context(), target(dir))
		if !errors.Is(err, buildcache.ErrNoToolchain) {
			t.Errorf("got error %v, want %v", err, buildcache.ErrNoToolchain)
		}
	})
	t.Run("no module", func(t *testing.T) {
		target := target(app(t))
		target.Dir = filepath.Join(target.Dir, "nowhere")
		_, err := newBuilder(t, realGo).Build(t.Context(), target)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("got error %v, want one line that names the directory", err)
		}
	})
}

func TestCancelledBuildLeavesNoFiles(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBuilder(t, func(ctx context.Context, c buildcache.Command) error {
		cancel()
		return ctx.Err()
	})
	if _, err := b.Build(ctx, target(app(t))); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	left, err := os.ReadDir(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != ".build-app.lock" {
			t.Errorf("file %s is left", e.Name())
		}
	}
}

func TestFilesOfAKilledBuildAreRemoved(t *testing.T) {
	b := newBuilder(t, fakeGo)
	work := filepath.Join(b.Dir, ".work-app-123")
	write(t, filepath.Join(work, "tmp", "x.o"), "half of an object")
	release(t, b.build(t, target(app(t))))
	if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: got %v, want %v", work, err, os.ErrNotExist)
	}
}

// TestSecondBuilderWaitsForTheFirst builds a target with two caches in the same
// directory, as two processes would.
func TestSecondBuilderWaitsForTheFirst(t *testing.T) {
	dir := app(t)
	first, second := newBuilder(t, nil), newBuilder(t, fakeGo)
	second.Dir = first.Dir
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	first.Run = func(_ context.Context, c buildcache.Command) error {
		go func() {
			built, err := second.Build(ctx, target(dir))
			if err == nil {
				err = built.Release()
			}
			result <- err
		}()
		for { // until the second has reported that it waits
			second.mu.Lock()
			waiting := slices.ContainsFunc(second.reports, func(l string) bool { return strings.HasPrefix(l, "waiting for another build of app in ") })
			second.mu.Unlock()
			if waiting {
				return fakeGo(ctx, c)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
		}
	}
	built, err := first.Build(ctx, target(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer release(t, built)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if second.builds != 0 {
		t.Errorf("the second built %d times, want 0", second.builds)
	}
}

func TestOldEntriesAreRemovedUnlessInUse(t *testing.T) {
	dir := app(t)
	b := newBuilder(t, fakeGo)
	var used []*buildcache.Built
	entry := func(n int) *buildcache.Built {
		write(t, filepath.Join(dir, "app/cmd/hello/n.go"), fmt.Sprintf("package main\n\nconst n = %d\n", n))
		return b.build(t, target(dir))
	}
	inUse := entry(0)
	defer release(t, inUse)
	for n := 1; n <= 4; n++ {
		built := entry(n)
		used = append(used, built)
		release(t, built)
	}
	latest := entry(5)
	defer release(t, latest)
	exists := func(b *buildcache.Built) bool {
		_, err := os.Stat(b.Binary("hello"))
		return err == nil
	}
	if !exists(inUse) || !exists(latest) {
		t.Errorf("the entry in use exists: %t, the latest one: %t; want both", exists(inUse), exists(latest))
	}
	for i, want := range []bool{false, false, true, true} {
		if got := exists(used[i]); got != want {
			t.Errorf("entry %d exists: %t, want %t", i+1, got, want)
		}
	}
}
