package buildcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// goSettings are the variables of "go env" that change the result of a build.
var goSettings = [...]string{"GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFLAGS", "CGO_ENABLED"}

// hash returns a digest of everything that a build of the target depends on: the
// toolchain, the packages, the flags, and the source files, go.mod and go.sum of the
// target's module and of the local modules that replace its dependencies. The go.sum
// files cover all other dependencies.
func (c *Cache) hash(ctx context.Context, goCmd string, t Target) (string, error) {
	h := sha256.New()
	cmd := exec.CommandContext(ctx, goCmd, append([]string{"env"}, goSettings[:]...)...) //nolint:gosec // the go command, fixed names
	cmd.Dir = t.Dir
	cmd.Env = append(os.Environ(), t.Env...)
	settings, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			return "", errors.New(strings.Join(strings.Fields(string(exit.Stderr)), " "))
		}
		return "", fmt.Errorf("run go env: %w", err)
	}
	_, _ = fmt.Fprintf(h, "%s\x00%q\x00%q\x00%q\x00", settings, t.Packages, t.Binary, t.Flags)
	if err := hashModule(h, t.Dir, map[string]bool{}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// hashModule adds the files of a module and of its local replacements to h.
func hashModule(h io.Writer, dir string, seen map[string]bool) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	modPath := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(modPath) //nolint:gosec // a module of the tree
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(modPath, data, nil)
	if err != nil {
		return err
	}
	files, err := sources(dir)
	if err != nil {
		return err
	}
	for _, name := range append([]string{"go.mod", "go.sum"}, files...) {
		if err := hashFile(h, dir, name); err != nil {
			return err
		}
	}
	for _, r := range mod.Replace {
		if !modfile.IsDirectoryPath(r.New.Path) {
			continue
		}
		next := filepath.FromSlash(r.New.Path)
		if !filepath.IsAbs(next) {
			next = filepath.Join(dir, next)
		}
		if err := hashModule(h, next, seen); err != nil {
			return err
		}
	}
	return nil
}

func hashFile(h io.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // a source file of the tree
	if errors.Is(err, fs.ErrNotExist) && name == "go.sum" {
		return nil // a module without dependencies has no go.sum
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(h, "%s\x00%x\x00", filepath.ToSlash(name), content.Sum(nil))
	return nil
}

// sources returns the sorted names of the files that can become part of a program
// of the module. These are all files in and below a directory with Go files, because
// a package can embed files below its directory. Tests, nested modules, node_modules,
// and directories that the go command ignores are left out.
func sources(root string) ([]string, error) {
	type file struct{ dir, path string }
	var files []file
	packages := map[string]bool{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error { //nolint:gosec // root is the tree that is built
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, p, d.Name())
		}
		if !d.Type().IsRegular() || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		dir := filepath.Dir(rel)
		if filepath.Ext(p) == ".go" {
			packages[dir] = true
		}
		files = append(files, file{dir: dir, path: rel})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		for dir := f.dir; ; dir = filepath.Dir(dir) {
			if packages[dir] {
				paths = append(paths, f.path)
				break
			}
			if dir == "." {
				break
			}
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// skipDir returns fs.SkipDir if the directory belongs to no package of the module
// at root.
func skipDir(root, p, name string) error {
	switch {
	case p == root:
		return nil
	case name == "testdata", name == "node_modules", strings.HasPrefix(name, "."), strings.HasPrefix(name, "_"):
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}
