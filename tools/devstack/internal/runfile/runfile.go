// Package runfile reads Dapr's multi-app run file, the list of apps that
// "dapr run -f" starts, with the rules of Dapr's CLI: what an app leaves out
// comes from the common part, paths of the common part and appDirPath are
// relative to the file, all other paths of an app to its appDirPath.
//
// A field that is not known here is an error and not passed over, so that no
// app runs otherwise than its file says.
package runfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// File is a run file with all paths absolute and all defaults filled in.
type File struct {
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
	MetricsPort      int `yaml:"metricsPort"`
}

// Sidecar is what apps can have in common.
type Sidecar struct {
	ConfigFile           string            `yaml:"configFilePath"`
	ResourcesPath        string            `yaml:"resourcesPath"` // the older form, merged into ResourcesPaths
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

	// Where the CLI puts logs and finds daprd; read and of no meaning here.
	DaprdLogDestination string `yaml:"daprdLogDestination"`
	AppLogDestination   string `yaml:"appLogDestination"`
	RuntimePath         string `yaml:"runtimePath"`
}

// Read reads a run file.
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
		return nil, fmt.Errorf("version %d, want 1", doc.Version)
	}
	doc.Common.resolve(base)
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
		app.resolve(app.Dir)
		app.inherit(doc.Common)
		if err := app.check(); err != nil {
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

// resolve makes the paths absolute.
func (s *Sidecar) resolve(base string) {
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

// inherit takes from common what is not set.
func (s *Sidecar) inherit(common Sidecar) {
	or(&s.ConfigFile, common.ConfigFile)
	or(&s.AppProtocol, common.AppProtocol)
	or(&s.LogLevel, common.LogLevel)
	or(&s.AppMaxConcurrency, common.AppMaxConcurrency)
	or(&s.MaxBodySize, common.MaxBodySize)
	or(&s.ReadBufferSize, common.ReadBufferSize)
	or(&s.PlacementHostAddress, common.PlacementHostAddress)
	or(&s.SchedulerHostAddress, common.SchedulerHostAddress)
	or(&s.APIListenAddresses, common.APIListenAddresses)
	or(&s.EnableAppHealthCheck, common.EnableAppHealthCheck)
	or(&s.AppHealthCheckPath, common.AppHealthCheckPath)
	or(&s.AppHealthInterval, common.AppHealthInterval)
	or(&s.AppHealthTimeout, common.AppHealthTimeout)
	or(&s.AppHealthThreshold, common.AppHealthThreshold)
	or(&s.EnableAPILogging, common.EnableAPILogging)
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

// or sets a field that is not set.
func or[T comparable](field *T, value T) {
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
