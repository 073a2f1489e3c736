// Package buildcache builds Go programs and caches them under a hash of their
// sources, toolchain and flags. When none of these has changed, a build returns
// the cached programs.
//
// The programs of a target are in <dir>/<target>-<hash>/. Such an entry is
// complete or absent, and is not removed while a process uses it.
package buildcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// concurrent is the number of targets that BuildAll builds at a time.
const concurrent = 2

// ErrNoToolchain means that there is no go command on the PATH.
var ErrNoToolchain = errors.New("no Go toolchain on the PATH: install Go (https://go.dev/dl/) and start again")

// Target describes the programs that one run of go build produces.
type Target struct {
	// Name identifies the target in messages and in the name of its entry.
	Name string
	// Dir is the module's directory.
	Dir string
	// Packages are the programs: "./apps/booking" below Dir, or the import path
	// of a dependency. Each program has the name of the last element of its path.
	Packages []string
	// Binary renames the program of a target with one package.
	Binary string
	// Flags are flags of go build.
	Flags []string
	// Env is added to the environment of the go command.
	Env []string
}

// Command is one run of the go command.
type Command struct {
	Name   string
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Output io.Writer // receives the output line by line
}

// Cache builds into one directory. Its methods may be called concurrently.
type Cache struct {
	// Dir is the directory of the entries. It is created if it is missing.
	Dir string
	// Run runs a command until it ends or the context does. It decides how a
	// command is stopped.
	Run func(context.Context, Command) error
	// Report receives a line about builds that are in progress or complete.
	Report func(line string)
	// Every is the time between two reports on running builds; zero means ten
	// seconds.
	Every time.Duration
}

// Built is a target whose programs exist. They are not removed until Release.
type Built struct {
	// Dir contains the programs.
	Dir string
	// Fresh is true if the call that returned this value built the programs.
	Fresh bool
	use   *os.File
}

// Binary returns the path of a program by its name.
func (b *Built) Binary(name string) string { return filepath.Join(b.Dir, name) }

// Release ends the use. The entry may be removed from then on.
func (b *Built) Release() error { return b.use.Close() }

// Lookup returns the target's programs if they have been built before. If they
// have not, the error wraps fs.ErrNotExist.
func (c *Cache) Lookup(ctx context.Context, t Target) (*Built, error) {
	p, err := c.plan(ctx, t)
	if err != nil {
		return nil, err
	}
	return use(p.entry)
}

// Build returns the target's programs, and builds them if they are missing.
// The error is one line; if a compiler fails, it has the first message.
func (c *Cache) Build(ctx context.Context, t Target) (*Built, error) {
	built, err := c.BuildAll(ctx, t)
	if err != nil {
		return nil, err
	}
	return built[0], nil
}

// BuildAll builds the targets, two at a time, and returns them in the same
// order. One build alone leaves processors idle while it downloads modules and
// while it links. The first failure stops the other builds.
//
// Only one process builds a target at a time; others wait for it.
func (c *Cache) BuildAll(ctx context.Context, targets ...Target) ([]*Built, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := newProgress(c.Report, c.Every)
	defer progress.stop()

	built := make([]*Built, len(targets))
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range targets {
			next <- i
		}
	}()
	var builders sync.WaitGroup
	for range concurrent {
		builders.Go(func() {
			for i := range next {
				b, err := c.one(ctx, targets[i], progress)
				if err != nil {
					cancel(err)
				}
				built[i] = b
			}
		})
	}
	builders.Wait()

	if !slices.Contains(built, nil) {
		return built, nil
	}
	for _, b := range built {
		if b != nil {
			_ = b.Release()
		}
	}
	return nil, context.Cause(ctx)
}

// plan is where and how a target is built.
type plan struct {
	target Target
	goCmd  string
	dir    string // the cache's directory
	entry  string
}

func (c *Cache) plan(ctx context.Context, t Target) (plan, error) {
	goCmd, err := exec.LookPath("go")
	if err != nil {
		return plan{}, ErrNoToolchain
	}
	hash, err := c.hash(ctx, goCmd, t)
	if err != nil {
		return plan{}, fmt.Errorf("build %s: %w", t.Name, err)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return plan{}, fmt.Errorf("build %s: %w", t.Name, err)
	}
	return plan{target: t, goCmd: goCmd, dir: dir, entry: filepath.Join(dir, t.Name+"-"+hash)}, nil
}

// one returns one target's programs, and builds them if they are missing.
func (c *Cache) one(ctx context.Context, t Target, progress *progress) (*Built, error) {
	p, err := c.plan(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil { //nolint:gosec // programs, for anyone to run
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	if b, err := use(p.entry); err == nil {
		return b, nil
	}
	unlock, err := c.lockTarget(ctx, p)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if b, err := use(p.entry); err == nil {
		return b, nil // another process built it
	}
	if err := c.build(ctx, p, progress); err != nil {
		return nil, err
	}
	b, err := use(p.entry)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	b.Fresh = true
	prune(p.dir, t.Name)
	return b, nil
}

// build makes the entry in a work directory, and moves it to its place when it is
// complete. Go's temporary files are in the work directory too, so a build that
// is killed leaves nothing else. The next build of the target removes the work
// directory.
func (c *Cache) build(ctx context.Context, p plan, progress *progress) error {
	name := p.target.Name
	if err := sweep(p.dir, name); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	work, err := os.MkdirTemp(p.dir, workPrefix+name+"-")
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // the next build removes the rest

	out, tmp := filepath.Join(work, "out"), filepath.Join(work, "tmp")
	for _, d := range []string{out, tmp} {
		if err := os.Mkdir(d, 0o755); err != nil { //nolint:gosec // programs, for anyone to run
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	start := time.Now()
	watch := progress.add(name)
	err = c.Run(ctx, Command{
		Name:   "build " + name,
		Path:   p.goCmd,
		Args:   buildArgs(p.target, out),
		Env:    append([]string{"GOTMPDIR=" + tmp}, p.target.Env...),
		Dir:    p.target.Dir,
		Output: watch,
	})
	progress.remove(watch)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return watch.failure(err)
	}
	if err := touchUse(out); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	if err := os.Rename(out, p.entry); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	c.Report(fmt.Sprintf("built %s in %s", name, time.Since(start).Round(100*time.Millisecond)))
	return nil
}

func buildArgs(t Target, out string) []string {
	// -v prints each package when its compilation begins; watch counts these lines.
	// go build treats the value of -o as a directory if it ends in a separator.
	args := append([]string{"build", "-v"}, t.Flags...)
	dest := out + string(filepath.Separator)
	if t.Binary != "" {
		dest = filepath.Join(out, t.Binary)
	}
	return append(append(args, "-o", dest), t.Packages...)
}

// Programs returns the names of the target's programs.
func (t Target) Programs() []string {
	if t.Binary != "" {
		return []string{t.Binary}
	}
	names := make([]string, len(t.Packages))
	for i, p := range t.Packages {
		names[i] = path.Base(p)
	}
	return names
}
