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

// instance is one process of an app, with its sidecar.
type instance struct {
	runfile.App
	name string // the app ID; from the second instance on, a number follows
	// sidecarReads are the names of the variables that the sidecar reads.
	sidecarReads []string
}

// instances returns the instances of each app of the run file: one, or the number
// that --replicas gives. Without --free-ports, the first instance of an app has the
// ports of the run file, and each further one has the ports of the one before it plus
// replicaStep. A port that the run file leaves out is a free one; but an app without a
// metrics port serves no metrics. With --free-ports, all ports are free ones.
func (s *stack) instances() ([]instance, error) {
	for _, id := range slices.Sorted(maps.Keys(s.Replicas)) {
		if id != AllApps && !slices.ContainsFunc(s.file.Apps, func(a runfile.App) bool { return a.ID == id }) {
			return nil, fmt.Errorf("--replicas: the run file has no app %q", id)
		}
	}
	var all []instance
	for _, app := range s.file.Apps {
		if err := s.overridePort(&app); err != nil {
			return nil, err
		}
		if s.Getenv(metricsVar) == "off" {
			app.AppMetricsPort = 0
		}
		reads, err := sidecarVariables(app)
		if err != nil {
			return nil, err
		}
		for n := range s.replicasOf(app.ID) {
			i := instance{App: app, name: app.ID, sidecarReads: reads}
			if n > 0 {
				i.name += "-" + strconv.Itoa(n+1)
				i.shiftPorts(n * replicaStep)
			}
			if err := s.fillPorts(&i.App); err != nil {
				return nil, err
			}
			all = append(all, i)
		}
	}
	return all, nil
}

// replicasOf returns the number of instances of an app.
func (s *stack) replicasOf(id string) int {
	if n, ok := s.Replicas[id]; ok {
		return n
	}
	return max(1, s.Replicas[AllApps])
}

// overridePort sets the gateway's port from the environment.
func (s *stack) overridePort(app *runfile.App) error {
	text := s.Getenv(gatewayPortVar)
	if app.ID != gatewayApp || text == "" {
		return nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("%s is %q; it must be a port from 1 to 65535", gatewayPortVar, text)
	}
	app.Port = port
	return nil
}

// shiftPorts adds a distance to each port that the run file gives.
func (i *instance) shiftPorts(distance int) {
	for _, port := range portFields(&i.App) {
		if *port != 0 {
			*port += distance
		}
	}
}

func (s *stack) fillPorts(app *runfile.App) error {
	for _, port := range portFields(app) {
		var err error
		if *port, err = s.port(*port); err != nil {
			return err
		}
	}
	return nil
}

// portFields returns the ports of an app and its sidecar.
func portFields(a *runfile.App) []*int { return append(ownPorts(a), sidecarPorts(a)...) }

// ownPorts returns the ports on which an app itself listens.
func ownPorts(a *runfile.App) []*int {
	if a.AppMetricsPort == 0 {
		return []*int{&a.Port}
	}
	return []*int{&a.Port, &a.AppMetricsPort}
}

func sidecarPorts(a *runfile.App) []*int {
	return []*int{&a.HTTPPort, &a.GRPCPort, &a.InternalGRPCPort, &a.MetricsPort}
}

func appPortUses(apps []instance) []portUse {
	var uses []portUse
	for _, i := range apps {
		for _, port := range ownPorts(&i.App) {
			uses = append(uses, portUse{i.name, *port})
		}
		for _, port := range sidecarPorts(&i.App) {
			uses = append(uses, portUse{i.sidecarName(), *port})
		}
	}
	return uses
}

func (i *instance) sidecarName() string { return i.name + "-daprd" }

// appStages returns the sidecars, the apps and the gateway as three stages. An app
// uses its sidecar before it is ready and while it stops, so the sidecar starts
// first and stops last.
func (s *stack) appStages() [][]supervise.Process {
	var sidecars, apps, gateways []supervise.Process
	for _, i := range s.apps {
		sidecars = append(sidecars, s.sidecarProcess(i))
		if i.ID == gatewayApp {
			gateways = append(gateways, s.appProcess(i))
		} else {
			apps = append(apps, s.appProcess(i))
		}
	}
	return [][]supervise.Process{sidecars, apps, gateways}
}

func (s *stack) sidecarProcess(i instance) supervise.Process {
	if i.APIListenAddresses == "" {
		i.APIListenAddresses = ports.Loopback
	}
	return supervise.Process{
		Name:  i.sidecarName(),
		Path:  s.daprd,
		Args:  append(append(i.DaprdArgs(), loopbackArgs()...), s.mtlsArgs(i.ID)...),
		Env:   append(s.sidecarEnv(i), s.mtlsEnv(i.ID)...),
		Dir:   i.Dir,
		Ready: supervise.HTTP("http://" + ports.Addr(i.HTTPPort) + "/v1.0/healthz/outbound"),
		// A sidecar asks for a restart when its broker was unreachable for too long
		// or came back without its data. The supervisor does not notice when an
		// external broker restarts, so BeforeRestart creates the streams.
		BeforeRestart: s.reprovision,
		RestartStatus: sidecarRestartStatus,
		ReadyWithin:   startTimeout,
	}
}

// loopbackArgs returns the addresses of the servers of a sidecar that have no field in the
// run file. The official daprd, unlike tools/daprd, would listen on every interface.
func loopbackArgs() []string {
	return []string{"--dapr-internal-grpc-listen-address", ports.Loopback, "--metrics-listen-address", ports.Loopback}
}

func (s *stack) appProcess(i instance) supervise.Process {
	path, args := s.command(i)
	return supervise.Process{
		Name:        i.name,
		Path:        path,
		Args:        args,
		Env:         s.appEnv(i),
		Dir:         i.Dir,
		Ready:       s.readiness(i),
		ReadyWithin: startTimeout,
	}
}

// command returns the command of the run file. If devstack built a program of
// that name, path is the built program.
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

// readiness returns the probe of an app. For the gateway, the probe requests
// gatewayReadyPath. For any other app, it requests the health path of the run file,
// or connects to the app's port if the file has no such path.
//
// If the sidecar checks the app's health too, the probe also calls the app through
// the sidecar. The sidecar rejects calls until its own check has succeeded, and it
// checks only every few seconds.
func (s *stack) readiness(i instance) supervise.Probe {
	path := i.AppHealthCheckPath
	if i.ID == gatewayApp {
		path = gatewayReadyPath
	}
	if path == "" {
		return supervise.TCP(ports.Addr(i.Port))
	}
	path = strings.TrimPrefix(path, "/")
	direct := supervise.HTTP("http://" + ports.Addr(i.Port) + "/" + path)
	if !i.EnableAppHealthCheck {
		return direct
	}
	throughSidecar := supervise.HTTPWith("http://"+ports.Addr(i.HTTPPort)+"/v1.0/invoke/"+i.ID+"/method/"+path,
		http.Header{"Dapr-Api-Token": {s.secrets.tokens[i.ID].api}})
	return func(ctx context.Context) error {
		if err := direct(ctx); err != nil {
			return err
		}
		if err := throughSidecar(ctx); err != nil {
			return fmt.Errorf("a call through its sidecar: %w", err)
		}
		return nil
	}
}

// reprovision calls provision after the start. It gives up after provisionTimeout.
func (s *stack) reprovision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	return s.provision(ctx)
}

// provision creates the streams, which must exist before a sidecar subscribes. It
// can be repeated at any time.
func (s *stack) provision(ctx context.Context) error {
	return s.sup.Run(ctx, supervise.Process{
		Name: filepath.Base(provisioner),
		Path: s.progs[filepath.Base(provisioner)],
		Env:  s.provisionerEnv(),
		Dir:  s.Root,
	})
}
