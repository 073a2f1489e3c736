package boxoffice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/otlpsink"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/runfile"
	"boxoffice/tools/devstack/internal/supervise"
)

// Options are the settings of the command line.
type Options struct {
	// Root is the top of the tree.
	Root string
	// Data is the data directory. Empty means $DATA_DIR, or else .data below Root.
	Data string
	// RunFile is the list of apps. Empty means dapr/dapr.yaml below Root.
	RunFile string
	// Replicas is the number of instances by app ID. The key AllApps stands for the apps
	// that have no entry. The default is one.
	Replicas map[string]int
	// FreePorts uses a free port instead of each usual one.
	FreePorts bool
	// JaegerFirst builds Jaeger before anything starts. Otherwise Up and Infra
	// build it after they are ready, and traces begin when it is built.
	JaegerFirst bool
	// Verbose prints the output of every process.
	Verbose bool

	// Getenv returns the value of an environment variable.
	Getenv func(string) string
	// Out receives progress and the ready screen.
	Out io.Writer
}

// stack is one start of Boxoffice.
type stack struct {
	Options
	layout
	started time.Time

	sup   *supervise.Supervisor
	cache *buildcache.Cache
	ports *ports.Pool
	built []*buildcache.Built // released by close
	sink  *otlpsink.Sink      // receives traces until Jaeger is built; nil if Jaeger need not be built

	file *runfile.File // nil if infra has no run file
	// isShared is true if the sidecars share one environment, as under "dapr run".
	isShared   bool
	reads      map[string][]string // the variables that each program reads
	secrets    credentials
	natsHashes []string // the environment of the embedded NATS
	stores     stores
	mtls       mtls
	apps       []instance
	daprd      string            // path of the sidecar
	progs      map[string]string // paths of the programs of the root module, by name
}

// Up runs all of Boxoffice until ctx is done.
func Up(ctx context.Context, o Options) error { return run(ctx, o, (*stack).up) }

// Infra runs the stores, the broker and Jaeger until ctx is done. It also builds
// the programs that "dapr run -f" starts.
func Infra(ctx context.Context, o Options) error { return run(ctx, o, (*stack).infra) }

// Build builds the programs that Up needs and the machine does not have.
func Build(ctx context.Context, o Options) (err error) {
	s, err := open(o) //nolint:contextcheck // leftovers are stopped even if ctx has ended
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.file, err = runfile.Read(s.runFilePath()); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	return s.buildAll(ctx, true)
}

// run calls start, waits until ctx is done, and stops everything. If start fails
// or ctx ends during it, run stops what has been started.
func run(ctx context.Context, o Options, start func(*stack, context.Context) error) (err error) {
	s, err := open(o) //nolint:contextcheck // leftovers are stopped even if ctx has ended
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	err = start(s, ctx)
	switch {
	case ctx.Err() != nil:
		s.sup.Logf("stopping before everything was ready")
		return nil
	case err != nil:
		return err
	}
	building := s.buildJaegerLate(ctx)
	select {
	case r := <-building:
		building = nil
		s.startJaegerLate(ctx, r)
		<-ctx.Done()
	case <-ctx.Done():
	}
	began := time.Now()
	s.sup.Logf("stopping")
	s.sup.Stop()
	s.awaitLateBuild(building)
	s.sup.Logf("stopped in %s", time.Since(began).Round(10*time.Millisecond))
	return nil
}

func open(o Options) (*stack, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	o.Root = root
	data := o.Data
	if data == "" {
		data = o.Getenv("DATA_DIR")
	}
	if data == "" {
		data = filepath.Join(root, defaultDataDir)
	}
	if data, err = filepath.Abs(data); err != nil {
		return nil, err
	}
	s := &stack{Options: o, layout: layout{dir: data}, started: time.Now()}
	s.sup, err = supervise.Open(supervise.Config{Name: "devstack", Dir: data, Out: o.Out, Verbose: o.Verbose, Env: inherited(os.Environ())})
	if err != nil {
		return nil, err
	}
	s.ports = ports.NewPool(ports.SharedDir())
	s.cache = &buildcache.Cache{
		Dir:    filepath.Join(root, "bin"),
		Run:    s.runGo,
		Report: func(line string) { s.sup.Logf("%s", line) },
	}
	return s, nil
}

// close stops all processes and releases the ports and programs.
func (s *stack) close() error {
	s.sup.Stop()
	if s.sink != nil {
		_ = s.sink.Close()
	}
	errs := []error{removeIfExists(s.description()), s.ports.Close()}
	for _, b := range s.built {
		errs = append(errs, b.Release())
	}
	return errors.Join(append(errs, s.sup.Close())...)
}

func (s *stack) infra(ctx context.Context) error {
	s.isShared = true
	path := s.runFilePath()
	if _, err := os.Stat(path); err == nil {
		if s.file, err = runfile.Read(path); err != nil {
			return err
		}
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.refuseMTLS(); err != nil {
		return err
	}
	if err := s.checkPorts(s.stores.portUses()); err != nil {
		return err
	}
	if err := s.buildAll(ctx, s.JaegerFirst); err != nil {
		return err
	}
	if err := s.startStores(ctx); err != nil {
		return err
	}
	if s.file != nil {
		if err := s.linkForCLI(); err != nil {
			return err
		}
		if err := s.provision(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(s.writeDaprEnv(), s.writeNATSEnv(), s.writeDescription()); err != nil {
		return err
	}
	s.sup.Print(s.infraScreen())
	return nil
}

func (s *stack) up(ctx context.Context) error {
	var err error
	if s.file, err = runfile.Read(s.runFilePath()); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.prepareMTLS(); err != nil {
		return err
	}
	if s.apps, err = s.instances(); err != nil {
		return err
	}
	if err := s.checkPorts(append(append(s.stores.portUses(), s.mtls.portUses()...), appPortUses(s.apps)...)); err != nil {
		return err
	}
	s.warnOfOpenPorts()
	if err := s.buildAll(ctx, s.JaegerFirst); err != nil {
		return err
	}
	if err := s.startStores(ctx); err != nil {
		return err
	}
	if err := s.provision(ctx); err != nil {
		return err
	}
	if err := s.start(ctx, s.sentryStage()); err != nil {
		return err
	}
	for _, stage := range s.appStages() {
		if err := s.start(ctx, stage); err != nil {
			return err
		}
	}
	if err := errors.Join(s.writeNATSEnv(), s.writeDescription()); err != nil {
		return err
	}
	s.sup.Print(s.upScreen())
	return nil
}

// start starts the processes of a stage and waits until all are ready.
func (s *stack) start(ctx context.Context, stage []supervise.Process) error {
	if len(stage) == 0 {
		return nil
	}
	names := make([]string, len(stage))
	for i, p := range stage {
		names[i] = p.Name
	}
	s.sup.Logf("starting %s", strings.Join(names, ", "))
	return s.sup.Start(ctx, stage...)
}

// prepare creates the directories, reads the secrets, and chooses the stores.
func (s *stack) prepare() error {
	if err := os.RemoveAll(s.run()); err != nil {
		return fmt.Errorf("empty %s: %w", s.run(), err)
	}
	if err := os.MkdirAll(filepath.Join(s.run(), "bin"), 0o700); err != nil {
		return fmt.Errorf("make %s: %w", s.run(), err)
	}
	if err := createNames(s.names()); err != nil {
		return fmt.Errorf("create the database of names: %w", err)
	}
	var err error
	if s.reads, err = programVariables(); err != nil {
		return err
	}
	if s.secrets, err = s.openCredentials(); err != nil {
		return err
	}
	if s.stores, err = s.chooseStores(); err != nil {
		return err
	}
	if s.natsHashes, err = hashPasswords(s.secrets.natsPasswords); err != nil {
		return err
	}
	return s.chooseMTLS()
}

// portUse is a port and the name of the process that needs it.
type portUse struct {
	name string
	port int
}

// checkPorts returns an error for the first port that is in use.
func (s *stack) checkPorts(wanted []portUse) error {
	for _, w := range wanted {
		err := ports.Check(w.port)
		if errors.Is(err, ports.ErrInUse) {
			return fmt.Errorf("%w, and %s needs it: stop what listens there (ss -ltnp | grep :%d), or start with --free-ports", err, w.name, w.port)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

func (s *stack) runFilePath() string {
	if s.RunFile != "" {
		return s.RunFile
	}
	return filepath.Join(s.Root, defaultRunFile)
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
