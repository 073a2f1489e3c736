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

// job is a build and the function that receives the built programs.
type job struct {
	target buildcache.Target
	use    func(*buildcache.Built)
}

// buildAll builds the programs of the stack, except those that are installed or
// already built. It builds Jaeger only if withJaeger is true; otherwise it uses a
// Jaeger that has been built before, if there is one.
func (s *stack) buildAll(ctx context.Context, withJaeger bool) error {
	jobs, err := s.sidecarJobs() // first, because only Jaeger takes longer to build
	if err != nil {
		return err
	}
	sentry, err := s.sentryJobs()
	if err != nil {
		return err
	}
	jobs = append(jobs, sentry...)
	if s.stores.mongo.program == "" && !s.stores.mongo.external {
		jobs = append(jobs, job{s.tool("mongolite", "."), func(b *buildcache.Built) {
			s.stores.mongo.program = b.Binary("mongolite")
		}})
	}
	if s.file != nil {
		jobs = append(jobs, s.appsJob())
	}
	if s.stores.jaeger.mustBuild() {
		target := s.jaegerTarget()
		if withJaeger {
			jobs = append(jobs, job{target, s.useJaeger})
		} else if b, err := s.cache.Lookup(ctx, target); err == nil {
			s.hold(b)
			s.useJaeger(b)
		}
	}
	targets := make([]buildcache.Target, len(jobs))
	for i, j := range jobs {
		targets[i] = j.target
	}
	built, err := s.cache.BuildAll(ctx, targets...)
	if err != nil {
		return err
	}
	for i, b := range built {
		s.hold(b)
		jobs[i].use(b)
	}
	return nil
}

// hold keeps programs from being removed until the stack is closed.
func (s *stack) hold(b *buildcache.Built) { s.built = append(s.built, b) }

// sidecarJobs returns the build of the sidecar. It returns none if there are no
// apps or if $DAPRD names a program.
func (s *stack) sidecarJobs() ([]job, error) {
	if s.file == nil {
		return nil, nil
	}
	if daprd := s.Getenv("DAPRD"); daprd != "" {
		program, err := exec.LookPath(daprd)
		if err == nil {
			s.daprd, err = filepath.Abs(program)
		}
		if err != nil {
			return nil, fmt.Errorf("$DAPRD: %w", err)
		}
		return nil, nil
	}
	target, err := s.daprTarget("daprd", ".")
	if err != nil {
		return nil, err
	}
	return []job{{target, func(b *buildcache.Built) { s.daprd = b.Binary("daprd") }}}, nil
}

// daprTarget returns the target of a program in tools/daprd.
func (s *stack) daprTarget(name, pkg string) (buildcache.Target, error) {
	target := s.tool("daprd", pkg)
	target.Name, target.Binary = name, name
	ldflags, err := os.ReadFile(filepath.Join(target.Dir, "ldflags"))
	if err != nil {
		return target, fmt.Errorf("read the linker flags of %s: %w", name, err)
	}
	target.Flags = buildFlags(strings.TrimSpace(string(ldflags)))
	return target, nil
}

// tool returns the target of a program that has its own module below tools.
func (s *stack) tool(name, pkg string) buildcache.Target {
	return buildcache.Target{
		Name:     name,
		Dir:      filepath.Join(s.Root, "tools", name),
		Packages: []string{pkg},
		Binary:   name,
		Flags:    buildFlags("-s -w"), // no symbols: it is not debugged here
		Env:      goEnv(),
	}
}

// appsJob returns a single job that builds the program that provisions the broker,
// and every app of the run file that is a Go package of the root module.
func (s *stack) appsJob() job {
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
			continue // outside of this tree; its command must exist
		}
		if sources, _ := filepath.Glob(filepath.Join(app.Dir, "*.go")); len(sources) == 0 {
			continue // written in another language
		}
		if pkg := "./" + filepath.ToSlash(rel); !slices.Contains(target.Packages, pkg) {
			target.Packages = append(target.Packages, pkg)
		}
	}
	return job{target, func(b *buildcache.Built) {
		s.progs = map[string]string{}
		for _, name := range target.Programs() {
			s.progs[name] = b.Binary(name)
		}
	}}
}

// runGo runs a build under the supervisor, so that it ends with the supervisor.
func (s *stack) runGo(ctx context.Context, c buildcache.Command) error {
	return s.sup.Run(ctx, goProcess(c))
}

// runGoNicely runs a build with a low priority, because the apps are in use.
func (s *stack) runGoNicely(ctx context.Context, c buildcache.Command) error {
	p := goProcess(c)
	p.Nice = backgroundNice
	return s.sup.Run(ctx, p)
}

func goProcess(c buildcache.Command) supervise.Process {
	return supervise.Process{
		Name: c.Name, Path: c.Path, Args: c.Args, Dir: c.Dir, Output: c.Output,
		Env:        append(inheritedByBuilds(os.Environ()), c.Env...),
		StopSignal: syscall.SIGINT, // after SIGTERM, go build would not remove its temporary files
		StopWithin: 3 * time.Second,
	}
}

func buildFlags(ldflags string) []string { return []string{"-trimpath", "-ldflags", ldflags} }

// goEnv makes builds independent of a workspace file and of a C compiler.
func goEnv() []string { return []string{"GOWORK=off", "CGO_ENABLED=0"} }

// linkForCLI links the built programs to where "dapr run -f" looks for them.
func (s *stack) linkForCLI() error {
	links := map[string]string{filepath.Join(s.runtimePath(), ".dapr", "bin", "daprd"): s.daprd}
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

// runtimePath returns the directory that dapr.env names in DAPR_RUNTIME_PATH.
func (s *stack) runtimePath() string { return filepath.Join(s.run(), "dapr") }

func replaceLink(path, link string) error {
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil { //nolint:gosec // programs, for anyone to run
		return err
	}
	if err := removeIfExists(link); err != nil {
		return err
	}
	return os.Symlink(path, link)
}
