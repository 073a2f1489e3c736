package runfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/tools/devstack/internal/runfile"
)

// read reads a run file that is in dapr/, next to apps/one and apps/two.
func read(t *testing.T, text string) (*runfile.File, string, error) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"dapr/components", "apps/one/own", "apps/two"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, "dapr", "dapr.yaml")
	for name, content := range map[string]string{path: text, filepath.Join(root, "dapr", "config.yaml"): ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := runfile.Read(path)
	return file, root, err
}

const full = `
version: 1
common:
  resourcesPaths: [components]
  configFilePath: config.yaml
  placementHostAddress: " "
  logLevel: warn
  env: {A: common, B: common}
apps:
  - appID: one
    appDirPath: ../apps/one
    appPort: 8081
    daprHTTPPort: 3501
    daprGRPCPort: 3601
    daprInternalGRPCPort: 3701
    metricsPort: 3801
    command: ["../../bin/one", "--flag"]
    resourcesPaths: [own]
    logLevel: debug
    enableAppHealthCheck: true
    appHealthCheckPath: /healthz
    env: {B: one, METRICS_PORT: "9464"}
  - appDirPath: ../apps/two
    appPort: 8082
    command: ["two"]
`

func TestFieldsAndPathsOfTheCommonSection(t *testing.T) {
	file, root, err := read(t, full)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Apps) != 2 {
		t.Fatalf("got %d apps, want 2", len(file.Apps))
	}
	one, two := file.Apps[0], file.Apps[1]
	in := func(path string) string { return filepath.Join(root, path) }
	fields := []struct{ name, got, want string }{
		{"directory of app one", one.Dir, in("apps/one")},
		{"resources that app one sets", strings.Join(one.ResourcesPaths, ","), in("apps/one/own")},
		{"resources that app two inherits", strings.Join(two.ResourcesPaths, ","), in("dapr/components")},
		{"configuration that app one inherits", one.ConfigFile, in("dapr/config.yaml")},
		{"log level that app one sets", one.LogLevel, "debug"},
		{"log level that app two inherits", two.LogLevel, "warn"},
		{"id that app two takes from its directory", two.ID, "two"},
		{"variable that app one sets", one.Env["B"], "one"},
		{"variable that app one inherits", one.Env["A"], "common"},
		{"variable that app two inherits", two.Env["B"], "common"},
	}
	for _, f := range fields {
		if f.got != f.want {
			t.Errorf("%s: got %q, want %q", f.name, f.got, f.want)
		}
	}
}

func TestSidecarArguments(t *testing.T) {
	file, root, err := read(t, full)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--app-id", "one", "--placement-host-address", "", "--scheduler-host-address", "",
		"--app-port", "8081", "--dapr-http-port", "3501", "--dapr-grpc-port", "3601",
		"--dapr-internal-grpc-port", "3701", "--metrics-port", "3801",
		"--config", filepath.Join(root, "dapr/config.yaml"), "--resources-path", filepath.Join(root, "apps/one/own"),
		"--log-level", "debug", "--enable-app-health-check", "--app-health-check-path", "/healthz",
	}
	if got := file.Apps[0].DaprdArgs(); !slices.Equal(got, want) {
		t.Errorf("arguments: got\n%q, want\n%q", got, want)
	}
}

func TestAppEnvironment(t *testing.T) {
	file, _, err := read(t, full)
	if err != nil {
		t.Fatal(err)
	}
	got := file.Apps[0].Environ()
	slices.Sort(got)
	want := []string{
		"A=common", "APP_ID=one", "APP_PORT=8081", "APP_PROTOCOL=http", "B=one",
		"DAPR_GRPC_PORT=3601", "DAPR_HTTP_PORT=3501", "DAPR_METRICS_PORT=3801", "METRICS_PORT=9464",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment: got %q, want %q", got, want)
	}
	moved := file.Apps[0]
	moved.AppMetricsPort = 9474
	if got := moved.Environ(); !slices.Contains(got, "METRICS_PORT=9474") || slices.Contains(got, "METRICS_PORT=9464") {
		t.Errorf("environment of an app with another metrics port: got %q, want only that port", got)
	}
	moved.AppMetricsPort = 0
	if got := moved.Environ(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "METRICS_PORT=") }) {
		t.Errorf("environment of an app whose metrics are off: got %q, want no metrics port", got)
	}
	if got := file.Apps[1].Environ(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "METRICS_PORT=") }) {
		t.Errorf("environment of an app without a metrics port: got %q, want none", got)
	}
}

func TestReadRejectsInvalidFiles(t *testing.T) {
	const app = "apps:\n  - appID: one\n    appDirPath: ../apps/one\n    command: [one]\n"
	tests := map[string]struct{ text, want string }{
		"no version":        {app, "version 0"},
		"unknown field":     {"version: 1\n" + app + "    apppPort: 1\n", "apppPort"},
		"no directory":      {"version: 1\napps:\n  - appID: one\n    command: [one]\n", "appDirPath"},
		"missing directory": {"version: 1\n" + strings.ReplaceAll(app, "../apps/one", "../apps/none"), "none"},
		"no command":        {"version: 1\napps:\n  - appID: one\n    appDirPath: ../apps/one\n", "no command"},
		"app listed twice":  {"version: 1\n" + app + strings.TrimPrefix(app, "apps:\n"), "twice"},
		"missing resources": {"version: 1\n" + app + "    resourcesPaths: [none]\n", "none"},
		"metrics port":      {"version: 1\n" + app + "    env: {METRICS_PORT: x}\n", "METRICS_PORT"},
		"not YAML":          {"version: [", "yaml"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that contains %q", err, tt.want)
			}
		})
	}
}
