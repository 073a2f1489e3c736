package boxoffice

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/supervise"
)

// buildAll builds what this start needs and the machine does not have, and
// returns the sidecar's path, which is empty when there are no apps.
func (s *stack) buildAll(ctx context.Context) (daprd string, err error) {
	if s.stores.mongo.program == "" && !s.stores.mongo.own {
		b, err := s.build(ctx, s.tool("mongolite", "."))
		if err != nil {
			return "", err
		}
		s.stores.mongo.program = b.Binary("mongolite")
	}
	if s.stores.jaeger.wanted && s.stores.jaeger.program == "" {
		b, err := s.build(ctx, s.tool("jaeger", "github.com/jaegertracing/jaeger/cmd/all-in-one"))
		if err != nil {
			return "", err
		}
		s.stores.jaeger.program = b.Binary("jaeger")
	}
	if s.file == nil {
		return "", nil
	}
	if daprd, err = s.sidecarProgram(ctx); err != nil {
		return "", err
	}
	return daprd, s.buildApps(ctx)
}

// sidecarProgram is the user's own daprd, or one that is built.
func (s *stack) sidecarProgram(ctx context.Context) (string, error) {
	if wish := s.Getenv("DAPRD"); wish != "" {
		program, err := exec.LookPath(wish)
		if err != nil {
			return "", fmt.Errorf("$DAPRD: %w", err)
		}
		return filepath.Abs(program)
	}
	target := s.tool("daprd", ".")
	ldflags, err := os.ReadFile(filepath.Join(target.Dir, "ldflags"))
	if err != nil {
		return "", fmt.Errorf("how to link the sidecar: %w", err)
	}
	target.Flags = linked(strings.TrimSpace(string(ldflags)))
	b, err := s.build(ctx, target)
	if err != nil {
		return "", err
	}
	return b.Binary("daprd"), nil
}

// tool is a program with a module of its own under tools.
func (s *stack) tool(name, pkg string) buildcache.Target {
	return buildcache.Target{
		Name:     name,
		Dir:      filepath.Join(s.Root, "tools", name),
		Packages: []string{pkg},
		Binary:   name,
		Flags:    linked("-s -w"), // nobody debugs it here
		Env:      goEnv(),
	}
}

// buildApps builds the apps of the run file that are Go packages of the root
// module, and what provisions the broker, in one go.
func (s *stack) buildApps(ctx context.Context) error {
	target := buildcache.Target{
		Name:     "apps",
		Dir:      s.Root,
		Packages: []string{"./" + provisioner},
		Flags:    []string{"-trimpath"},
		Env:      goEnv(),
	}
	for _, app := range s.file.Apps {
		rel, err := filepath.Rel(s.Root, app.Dir)
		if err != nil || !filepath.IsLocal(rel) {
			continue // not of this tree, so its command must be there already
		}
		if sources, _ := filepath.Glob(filepath.Join(app.Dir, "*.go")); len(sources) == 0 {
			continue // written in another language
		}
		if pkg := "./" + filepath.ToSlash(rel); !slices.Contains(target.Packages, pkg) {
			target.Packages = append(target.Packages, pkg)
		}
	}
	b, err := s.build(ctx, target)
	if err != nil {
		return err
	}
	s.progs = map[string]string{}
	for _, name := range target.Programs() {
		s.progs[name] = b.Binary(name)
	}
	return nil
}

func (s *stack) build(ctx context.Context, t buildcache.Target) (*buildcache.Built, error) {
	b, err := s.cache.Build(ctx, t)
	if err != nil {
		return nil, err
	}
	s.built = append(s.built, b)
	return b, nil
}

// runGo runs a build under the supervisor, so that it ends with it. The go
// command tidies up after an interrupt and not after other signals.
func (s *stack) runGo(ctx context.Context, c buildcache.Command) error {
	return s.sup.Run(ctx, supervise.Process{
		Name: c.Name, Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Output: c.Output,
		StopSignal: syscall.SIGINT,
		StopWithin: 3 * time.Second,
	})
}

// goEnv keeps the builds apart from a workspace of the user's and from the C
// compiler, which need not be there.
func goEnv() []string { return []string{"GOWORK=off", "CGO_ENABLED=0"} }

// linkForCLI puts the built programs where "dapr run -f" looks for them.
func (s *stack) linkForCLI(daprd string) error {
	links := map[string]string{filepath.Join(s.runtimePath(), ".dapr", "bin", "daprd"): daprd}
	for name, path := range s.progs {
		links[filepath.Join(s.cache.Dir, name)] = path
	}
	for link, path := range links {
		if err := replaceLink(path, link); err != nil {
			return fmt.Errorf("link %s: %w", link, err)
		}
	}
	return nil
}

// runtimePath is what the CLI calls DAPR_RUNTIME_PATH.
func (s *stack) runtimePath() string { return filepath.Join(s.run(), "dapr") }

func replaceLink(path, link string) error {
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil { //nolint:gosec // programs, for anyone to run
		return err
	}
	if err := removeIfThere(link); err != nil {
		return err
	}
	return os.Symlink(path, link)
}
