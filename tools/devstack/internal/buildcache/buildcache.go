// Package buildcache builds Go programs and keeps them by content: a second
// build of the same sources, with the same toolchain and flags, is a look into
// a directory. It tells what a long build is at and how long it took.
//
// What is kept lies in <dir>/<target>-<hash>/<program>. An entry is complete or
// absent, and one that somebody uses is never removed.
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
	"time"
)

// ErrNoToolchain means that there is no go command on the PATH.
var ErrNoToolchain = errors.New("no Go toolchain on the PATH: install Go (https://go.dev/dl/) and start again")

// Target is what one call of go build makes.
type Target struct {
	// Name stands in messages and in the entry's name.
	Name string
	// Dir is the module's directory.
	Dir string
	// Packages are the programs: "./apps/booking" beneath Dir, or the import
	// path of a dependency. Each is named after the last element of its path.
	Packages []string
	// Binary renames the program of a target with one package.
	Binary string
	// Flags are go build's.
	Flags []string
	// Env is added to the environment of the go command.
	Env []string
}

// Command is a run of the go command.
type Command struct {
	Name   string
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Output io.Writer // gets what it prints, line by line
}

// Cache builds into one directory.
type Cache struct {
	// Dir is made when absent.
	Dir string
	// Run runs a command to its end; how it is stopped is its affair.
	Run func(context.Context, Command) error
	// Report gets a line about a build that is under way or done.
	Report func(line string)
	// Every is the time between two reports on the same build; zero means ten
	// seconds.
	Every time.Duration
}

// Built is a target that is there, held for the caller's use.
type Built struct {
	// Dir holds the programs.
	Dir string
	// Fresh tells that it was built by this call.
	Fresh bool
	use   *os.File
}

// Binary returns the path of a program by its name.
func (b *Built) Binary(name string) string { return filepath.Join(b.Dir, name) }

// Release ends the use: the entry may be removed from then on.
func (b *Built) Release() error { return b.use.Close() }

// Build returns the target's programs, built if they are not there. Builds of
// several processes in one directory wait for one another. The error is one
// line; of a compiler's it is the first message.
func (c *Cache) Build(ctx context.Context, t Target) (*Built, error) {
	goCmd, err := exec.LookPath("go")
	if err != nil {
		return nil, ErrNoToolchain
	}
	hash, err := c.hash(ctx, goCmd, t)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs, for anyone to run
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	entry := filepath.Join(dir, t.Name+"-"+hash)
	if b, err := use(entry); err == nil {
		return b, nil
	}
	unlock, err := c.lockBuilds(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if b, err := use(entry); err == nil {
		return b, nil // built while this one waited
	}
	if err := c.build(ctx, goCmd, t, entry); err != nil {
		return nil, err
	}
	b, err := use(entry)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", t.Name, err)
	}
	b.Fresh = true
	prune(dir, t.Name)
	return b, nil
}

// build makes the entry: in a directory of its own that becomes the entry when
// all is there. Go's temporary files lie in it too, so nothing else remains of
// a build that was killed; the next one sweeps it away.
func (c *Cache) build(ctx context.Context, goCmd string, t Target, entry string) error {
	if err := sweep(filepath.Dir(entry)); err != nil {
		return fmt.Errorf("build %s: %w", t.Name, err)
	}
	work, err := os.MkdirTemp(filepath.Dir(entry), workPrefix+t.Name+"-")
	if err != nil {
		return fmt.Errorf("build %s: %w", t.Name, err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // the next build sweeps what remains

	out, tmp := filepath.Join(work, "out"), filepath.Join(work, "tmp")
	for _, d := range []string{out, tmp} {
		if err := os.Mkdir(d, 0o755); err != nil { //nolint:gosec // programs, for anyone to run
			return fmt.Errorf("build %s: %w", t.Name, err)
		}
	}
	start := time.Now()
	watch := newProgress(t.Name, c.Report, c.Every)
	err = c.Run(ctx, Command{
		Name:   "build " + t.Name,
		Path:   goCmd,
		Args:   buildArgs(t, out),
		Env:    append([]string{"GOTMPDIR=" + tmp}, t.Env...),
		Dir:    t.Dir,
		Output: watch,
	})
	watch.stop()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return watch.failure(err)
	}
	if err := touchUse(out); err != nil {
		return fmt.Errorf("build %s: %w", t.Name, err)
	}
	if err := os.Rename(out, entry); err != nil {
		return fmt.Errorf("build %s: %w", t.Name, err)
	}
	c.Report(fmt.Sprintf("built %s in %s", t.Name, time.Since(start).Round(100*time.Millisecond)))
	return nil
}

func buildArgs(t Target, out string) []string {
	// -v prints each package as it is compiled: the progress. The output is a
	// directory when it ends with a separator.
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
