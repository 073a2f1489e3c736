package boxoffice

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"boxoffice/tools/devstack/internal/runfile"
)

// everyProgram is the entry of variables.yaml that all apps share.
const everyProgram = "every program"

//go:embed variables.yaml
var variables []byte //nolint:gochecknoglobals // go:embed requires a variable

// programVariables returns the names of the variables that each program of this tree reads.
func programVariables() (map[string][]string, error) {
	var all map[string][]string
	if err := yaml.Unmarshal(variables, &all); err != nil {
		return nil, fmt.Errorf("read the list of variables: %w", err)
	}
	return all, nil
}

// inherited returns the entries of environ that every process may inherit from devstack: what
// programs need to find files, and the settings of Go's runtime, TLS and OpenTelemetry. All
// others, such as the credentials of a cloud, stay with devstack.
func inherited(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case "PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
			"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR":
			return false
		default:
			return !strings.HasPrefix(name, "LC_") && !strings.HasPrefix(name, "OTEL_")
		}
	})
}

// inheritedByBuilds returns the entries of environ that builds may inherit besides: the
// settings of the go command, and what it needs to download modules.
func inheritedByBuilds(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NETRC", "SSH_AUTH_SOCK":
			return false
		default:
			isGo := strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "GOOGLE")
			return !isGo && !strings.HasPrefix(name, "GIT_")
		}
	})
}

// environ returns the variables with the given names: those that devstack assigns, and the
// others as they are in devstack's own environment, unless they are empty there.
func (s *stack) environ(names []string, assigned map[string]string) []string {
	var env []string
	for _, name := range names {
		value, ok := assigned[name]
		if !ok {
			value = s.Getenv(name)
		}
		if ok || value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// configVariable matches a reference to a variable in the configuration of a sidecar.
var configVariable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`) //nolint:gochecknoglobals // constant

// sidecarVariables returns the names of the variables that an app's sidecar reads: those
// that its components name under envRef and its configuration in ${}, and those of daprd.
func sidecarVariables(app runfile.App) ([]string, error) {
	names := map[string]bool{}
	for _, name := range []string{
		"DAPR_API_TOKEN", "APP_API_TOKEN", "DAPR_HOST_IP", "GOGC", "OTEL_EXPORTER_OTLP_ENDPOINT",
		"DAPRD_BROKER_LOOK_EVERY", "DAPRD_BROKER_AWAY_AT_MOST",
	} {
		names[name] = true
	}
	if app.ConfigFile != "" {
		text, err := os.ReadFile(app.ConfigFile)
		if err != nil {
			return nil, fmt.Errorf("read the configuration of the sidecar: %w", err)
		}
		for _, match := range configVariable.FindAllSubmatch(text, -1) {
			names[string(match[1])] = true
		}
	}
	for _, dir := range app.ResourcesPaths {
		files, err := filepath.Glob(filepath.Join(dir, "*.y*ml")) // like the sidecar, not in subdirectories
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := addComponentVariables(names, file, app.ID); err != nil {
				return nil, fmt.Errorf("read the components in %s: %w", file, err)
			}
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// addComponentVariables adds the variables that the components in a file name under envRef,
// if the app's sidecar loads them.
func addComponentVariables(names map[string]bool, file, appID string) error {
	f, err := os.Open(file) //nolint:gosec // a file of the tree
	if err != nil {
		return err
	}
	defer f.Close()
	for documents := yaml.NewDecoder(f); ; {
		var c struct {
			Kind   string
			Scopes []string
			Spec   struct {
				Metadata []struct {
					EnvRef string `yaml:"envRef"`
				}
			}
		}
		switch err := documents.Decode(&c); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c.Kind != "Component" || len(c.Scopes) > 0 && !slices.Contains(c.Scopes, appID):
			continue
		}
		for _, m := range c.Spec.Metadata {
			if m.EnvRef != "" {
				names[m.EnvRef] = true
			}
		}
	}
}
