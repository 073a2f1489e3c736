package boxoffice

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/runfile"
	"boxoffice/tools/devstack/internal/supervise"
)

// instance is one app process with its sidecar.
type instance struct {
	runfile.App
	name string // the app's id, with a number from the second instance on
}

// instances gives every app of the run file as often as asked for, with a port
// for everything that needs one: those of the file for the first instance, free
// ones for the rest.
func (s *stack) instances() ([]instance, error) {
	for _, id := range slices.Sorted(maps.Keys(s.Replicas)) {
		if !slices.ContainsFunc(s.file.Apps, func(a runfile.App) bool { return a.ID == id }) {
			return nil, fmt.Errorf("--replicas: the run file has no app %q", id)
		}
	}
	var all []instance
	for _, app := range s.file.Apps {
		if err := s.overrulePort(&app); err != nil {
			return nil, err
		}
		count := 1
		if n, ok := s.Replicas[app.ID]; ok {
			count = n
		}
		for n := 1; n <= count; n++ {
			i := instance{App: app, name: app.ID}
			if n > 1 {
				i.name += "-" + strconv.Itoa(n)
				i.clearPorts()
			}
			if err := s.fillPorts(&i.App); err != nil {
				return nil, err
			}
			all = append(all, i)
		}
	}
	return all, nil
}

// overrulePort takes the front's port from the environment.
func (s *stack) overrulePort(app *runfile.App) error {
	text := s.Getenv(frontPortVar)
	if app.ID != front || text == "" {
		return nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("%s is %q and must be a port", frontPortVar, text)
	}
	app.Port = port
	return nil
}

func (i *instance) clearPorts() {
	for _, port := range appPortFields(&i.App) {
		*port = 0
	}
}

func (s *stack) fillPorts(app *runfile.App) error {
	for _, port := range appPortFields(app) {
		var err error
		if *port, err = s.port(*port); err != nil {
			return err
		}
	}
	return nil
}

func appPortFields(a *runfile.App) []*int {
	return []*int{&a.Port, &a.HTTPPort, &a.GRPCPort, &a.InternalGRPCPort, &a.MetricsPort}
}

func appPorts(apps []instance) []portUse {
	var uses []portUse
	for _, i := range apps {
		for n, port := range appPortFields(&i.App) {
			name := i.name
			if n > 0 {
				name = i.sidecarName()
			}
			uses = append(uses, portUse{name, *port})
		}
	}
	return uses
}

func (i *instance) sidecarName() string { return i.name + "-daprd" }

// appStages are the sidecars, the apps and the front, in that order: an app is
// ready only with its sidecar, and must not lose it while it stops.
func (s *stack) appStages() [][]supervise.Process {
	var sidecars, apps, fronts []supervise.Process
	for _, i := range s.apps {
		sidecars = append(sidecars, s.sidecarProcess(i))
		if i.ID == front {
			fronts = append(fronts, s.appProcess(i))
		} else {
			apps = append(apps, s.appProcess(i))
		}
	}
	return [][]supervise.Process{sidecars, apps, fronts}
}

func (s *stack) sidecarProcess(i instance) supervise.Process {
	if i.APIListenAddresses == "" {
		i.APIListenAddresses = ports.Loopback
	}
	return supervise.Process{
		Name:  i.sidecarName(),
		Path:  s.daprd,
		Args:  i.DaprdArgs(),
		Env:   append(s.commonEnv(), sidecarEnv()...),
		Dir:   i.Dir,
		Ready: supervise.HTTP("http://" + ports.Addr(i.HTTPPort) + "/v1.0/healthz/outbound"),
		// A sidecar leaves by itself when its broker was away for too long or
		// has come back empty, and the broker may be the user's own.
		BeforeRestart: s.provisionAgain,
		LeaveStatus:   sidecarLeaves,
		ReadyWithin:   startWithin,
	}
}

func (s *stack) appProcess(i instance) supervise.Process {
	env := s.commonEnv()
	if i.ID == keyHolder {
		env = append(env, "ADMIN_EMAIL="+s.secrets.adminEmail, "ADMIN_PASSWORD="+s.secrets.adminPassword)
	}
	path, args := s.command(i)
	return supervise.Process{
		Name:        i.name,
		Path:        path,
		Args:        args,
		Env:         append(env, i.Environ()...),
		Dir:         i.Dir,
		Ready:       s.readiness(i),
		ReadyWithin: startWithin,
	}
}

// command is the run file's, with the program that was built for it.
func (s *stack) command(i instance) (path string, args []string) {
	path, args = i.Command[0], i.Command[1:]
	if built, ok := s.progs[filepath.Base(path)]; ok {
		return built, args
	}
	if !strings.ContainsRune(path, filepath.Separator) {
		if found, err := exec.LookPath(path); err == nil {
			path = found
		}
	}
	return path, args
}

// readiness asks the front for its dependencies, the others for the health path
// that the run file names, and without one for their port. Where the sidecar asks
// for that path too, it must have found the app healthy: until then it lets no
// call through, and it looks but every few seconds.
func (s *stack) readiness(i instance) supervise.Probe {
	path := i.AppHealthCheckPath
	if i.ID == front {
		path = frontReady
	}
	if path == "" {
		return supervise.TCP(ports.Addr(i.Port))
	}
	path = strings.TrimPrefix(path, "/")
	app := supervise.HTTP("http://" + ports.Addr(i.Port) + "/" + path)
	if !i.EnableAppHealthCheck {
		return app
	}
	through := supervise.HTTPWith("http://"+ports.Addr(i.HTTPPort)+"/v1.0/invoke/"+i.ID+"/method/"+path,
		http.Header{"Dapr-Api-Token": {s.secrets.apiToken}})
	return func(ctx context.Context) error {
		if err := app(ctx); err != nil {
			return err
		}
		if err := through(ctx); err != nil {
			return fmt.Errorf("its sidecar lets no call through: %w", err)
		}
		return nil
	}
}

// provisionAgain is provision while apps run.
func (s *stack) provisionAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionWithin)
	defer cancel()
	return s.provision(ctx)
}

// provision makes what the broker must have before a sidecar subscribes. It may
// run again at any time.
func (s *stack) provision(ctx context.Context) error {
	return s.sup.Run(ctx, supervise.Process{
		Name: filepath.Base(provisioner),
		Path: s.progs[filepath.Base(provisioner)],
		Env:  s.commonEnv(),
		Dir:  s.Root,
	})
}
