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

// job is a target with the use that is made of its programs.
type job struct {
	target buildcache.Target
	adopt  func(*buildcache.Built)
}

// buildAll builds the programs that the ready state needs and that the machine
// does not have. Jaeger is among them only if withJaeger is true; otherwise it is
// used if it has been built before.
func (s *stack) buildAll(ctx context.Context, withJaeger bool) error {
	jobs, err := s.sidecarJobs() // first, because it takes longest
	if err != nil {
		return err
	}
	if s.stores.mongo.program == "" && !s.stores.mongo.own {
		jobs = append(jobs, job{s.tool("mongolite", "."), func(b *buildcache.Built) {
			s.stores.mongo.program = b.Binary("mongolite")
		}})
	}
	if s.file != nil {
		jobs = append(jobs, s.appsJob())
	}
	if s.stores.jaeger.mustBuild() {
		jaeger := job{s.jaegerTarget(), s.adoptJaeger}
		if withJaeger {
			jobs = append(jobs, jaeger)
		} else if b, err := s.cache.Lookup(ctx, jaeger.target); err == nil {
			s.adopt(jaeger, b)
		}
	}
	var targets []buildcache.Target
	for _, j := range jobs {
		targets = append(targets, j.target)
	}
	built, err := s.cache.BuildAll(ctx, targets...)
	if err != nil {
		return err
	}
	for i, b := range built {
		s.adopt(jobs[i], b)
	}
	return nil
}

// adopt uses the programs of a job, and holds them until the stack is closed.
func (s *stack) adopt(j job, b *buildcache.Built) {
	s.built = append(s.built, b)
	j.adopt(b)
}

// sidecarJobs returns the build of the sidecar. There is none if there are no
// apps, or if $DAPRD names a program.
func (s *stack) sidecarJobs() ([]job, error) {
	if s.file == nil {
		return nil, nil
	}
	if wish := s.Getenv("DAPRD"); wish != "" {
		program, err := exec.LookPath(wish)
		if err == nil {
			s.daprd, err = filepath.Abs(program)
		}
		if err != nil {
			return nil, fmt.Errorf("$DAPRD: %w", err)
		}
		return nil, nil
	}
	target := s.tool("daprd", ".")
	ldflags, err := os.ReadFile(filepath.Join(target.Dir, "ldflags"))
	if err != nil {
		return nil, fmt.Errorf("read the linker flags of the sidecar: %w", err)
	}
	target.Flags = linked(strings.TrimSpace(string(ldflags)))
	return []job{{target, func(b *buildcache.Built) { s.daprd = b.Binary("daprd") }}}, nil
}

// tool returns the target of a program that has a module of its own below tools.
func (s *stack) tool(name, pkg string) buildcache.Target {
	return buildcache.Target{
		Name:     name,
		Dir:      filepath.Join(s.Root, "tools", name),
		Packages: []string{pkg},
		Binary:   name,
		Flags:    linked("-s -w"), // without symbols, because it is not debugged
		Env:      goEnv(),
	}
}

// appsJob returns one build of the apps of the run file that are Go packages of
// the root module, and of the program that provisions the broker.
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
			continue // it is outside of this tree, so its command must exist
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

// runGoNicely is runGo for a build beside apps that are in use.
func (s *stack) runGoNicely(ctx context.Context, c buildcache.Command) error {
	p := goProcess(c)
	p.Nice = backgroundNice
	return s.sup.Run(ctx, p)
}

func goProcess(c buildcache.Command) supervise.Process {
	return supervise.Process{
		Name: c.Name, Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Output: c.Output,
		StopSignal: syscall.SIGINT, // the only signal after which go build removes its temporary files
		StopWithin: 3 * time.Second,
	}
}

// goEnv keeps the builds apart from a workspace of the user's and from the C
// compiler, which need not be there.
func goEnv() []string { return []string{"GOWORK=off", "CGO_ENABLED=0"} }

// linkForCLI puts the built programs where "dapr run -f" looks for them.
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
