// Package runfile reads Dapr's multi-app run file, the list of apps that
// "dapr run -f" starts. The format is documented at
// https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/multi-app-template/.
//
// As in Dapr's CLI, a field that an app leaves out has the value of the common
// section. Paths of the common section, and appDirPath, are relative to the file;
// all other paths of an app are relative to its appDirPath.
//
// An unknown field is an error. If it were ignored, an app could run with other
// settings than its file says.
package runfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// File is a run file whose paths are absolute and whose defaults are filled in.
type File struct {
	// Apps are the apps in the order of the file.
	Apps []App
}

// App is one app and its sidecar.
type App struct {
	Sidecar `yaml:",inline"`

	ID      string   `yaml:"appID"`
	Dir     string   `yaml:"appDirPath"`
	Command []string `yaml:"command"`

	Port             int `yaml:"appPort"`
	HTTPPort         int `yaml:"daprHTTPPort"`
	GRPCPort         int `yaml:"daprGRPCPort"`
	InternalGRPCPort int `yaml:"daprInternalGRPCPort"`
	MetricsPort      int `yaml:"metricsPort"` // of the sidecar

	// AppMetricsPort is the port of the app's own metrics, or 0 if it serves none. Read
	// takes it from the variable METRICS_PORT in Env; Environ sets that variable to it.
	AppMetricsPort int `yaml:"-"`
}

// appMetricsVar names the variable of App.AppMetricsPort.
const appMetricsVar = "METRICS_PORT"

// Sidecar contains the fields that may be in the common section too.
type Sidecar struct {
	ConfigFile           string            `yaml:"configFilePath"`
	ResourcesPath        string            `yaml:"resourcesPath"` // the older field; Read moves it to ResourcesPaths
	ResourcesPaths       []string          `yaml:"resourcesPaths"`
	AppProtocol          string            `yaml:"appProtocol"`
	LogLevel             string            `yaml:"logLevel"`
	AppMaxConcurrency    int               `yaml:"appMaxConcurrency"`
	MaxBodySize          string            `yaml:"maxBodySize"`
	ReadBufferSize       string            `yaml:"readBufferSize"`
	PlacementHostAddress *string           `yaml:"placementHostAddress"`
	SchedulerHostAddress *string           `yaml:"schedulerHostAddress"`
	APIListenAddresses   string            `yaml:"apiListenAddresses"`
	EnableAppHealthCheck bool              `yaml:"enableAppHealthCheck"`
	AppHealthCheckPath   string            `yaml:"appHealthCheckPath"`
	AppHealthInterval    int               `yaml:"appHealthProbeInterval"`
	AppHealthTimeout     int               `yaml:"appHealthProbeTimeout"`
	AppHealthThreshold   int               `yaml:"appHealthThreshold"`
	EnableAPILogging     bool              `yaml:"enableApiLogging"`
	Env                  map[string]string `yaml:"env"`

	// Accepted without effect: where the CLI writes logs and finds daprd.
	DaprdLogDestination string `yaml:"daprdLogDestination"`
	AppLogDestination   string `yaml:"appLogDestination"`
	RuntimePath         string `yaml:"runtimePath"`
}

// Read reads a run file. It returns an error if a field is unknown, if a required
// field is missing, or if a path does not exist.
func Read(path string) (*File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read run file: %w", err)
	}
	f, err := os.Open(abs) //nolint:gosec // the caller's file
	if err != nil {
		return nil, fmt.Errorf("read run file: %w", err)
	}
	defer f.Close()
	file, err := parse(f, filepath.Dir(abs))
	if err != nil {
		return nil, fmt.Errorf("run file %s: %w", path, err)
	}
	return file, nil
}

func parse(r io.Reader, base string) (*File, error) {
	var doc struct {
		Version int     `yaml:"version"`
		Name    string  `yaml:"name"`
		Common  Sidecar `yaml:"common"`
		Apps    []App   `yaml:"apps"`
	}
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if doc.Version != 1 {
		return nil, fmt.Errorf("version %d is not supported: it must be 1", doc.Version)
	}
	doc.Common.makeAbsolute(base)
	ids := map[string]bool{}
	for i := range doc.Apps {
		app := &doc.Apps[i]
		if app.Dir == "" {
			return nil, fmt.Errorf("app %d has no appDirPath", i+1)
		}
		app.Dir = join(base, app.Dir)
		if app.ID == "" {
			app.ID = filepath.Base(app.Dir)
		}
		if ids[app.ID] {
			return nil, fmt.Errorf("app %s is listed twice", app.ID)
		}
		ids[app.ID] = true
		app.makeAbsolute(app.Dir)
		app.inherit(doc.Common)
		if err := errors.Join(app.readMetricsPort(), app.check()); err != nil {
			return nil, fmt.Errorf("app %s: %w", app.ID, err)
		}
	}
	return &File{Apps: doc.Apps}, nil
}

func (a *App) check() error {
	if len(a.Command) == 0 {
		return errors.New("no command")
	}
	for _, p := range append([]string{a.Dir, a.ConfigFile}, a.ResourcesPaths...) {
		if p == "" {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			return err
		}
	}
	return nil
}

// readMetricsPort sets AppMetricsPort from the environment of the app.
func (a *App) readMetricsPort() error {
	text, ok := a.Env[appMetricsVar]
	if !ok {
		return nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("%s is %q; it must be a port from 1 to 65535", appMetricsVar, text)
	}
	a.AppMetricsPort = port
	return nil
}

// makeAbsolute resolves relative paths against base. It also moves ResourcesPath to
// ResourcesPaths.
func (s *Sidecar) makeAbsolute(base string) {
	if s.ResourcesPath != "" {
		s.ResourcesPaths = append(s.ResourcesPaths, s.ResourcesPath)
		s.ResourcesPath = ""
	}
	if s.ConfigFile != "" {
		s.ConfigFile = join(base, s.ConfigFile)
	}
	for i, p := range s.ResourcesPaths {
		s.ResourcesPaths[i] = join(base, p)
	}
}

// inherit copies from common the fields that s does not set.
func (s *Sidecar) inherit(common Sidecar) {
	setDefault(&s.ConfigFile, common.ConfigFile)
	setDefault(&s.AppProtocol, common.AppProtocol)
	setDefault(&s.LogLevel, common.LogLevel)
	setDefault(&s.AppMaxConcurrency, common.AppMaxConcurrency)
	setDefault(&s.MaxBodySize, common.MaxBodySize)
	setDefault(&s.ReadBufferSize, common.ReadBufferSize)
	setDefault(&s.PlacementHostAddress, common.PlacementHostAddress)
	setDefault(&s.SchedulerHostAddress, common.SchedulerHostAddress)
	setDefault(&s.APIListenAddresses, common.APIListenAddresses)
	setDefault(&s.EnableAppHealthCheck, common.EnableAppHealthCheck)
	setDefault(&s.AppHealthCheckPath, common.AppHealthCheckPath)
	setDefault(&s.AppHealthInterval, common.AppHealthInterval)
	setDefault(&s.AppHealthTimeout, common.AppHealthTimeout)
	setDefault(&s.AppHealthThreshold, common.AppHealthThreshold)
	setDefault(&s.EnableAPILogging, common.EnableAPILogging)
	if len(s.ResourcesPaths) == 0 {
		s.ResourcesPaths = common.ResourcesPaths
	}
	env := maps.Clone(common.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, s.Env)
	s.Env = env
}

// setDefault sets a field to value if it has its zero value.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func join(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}
