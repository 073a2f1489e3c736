package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"go.yaml.in/yaml/v3"

	"boxoffice/test/stack"
)

func TestGatewayIsReady(t *testing.T) {
	var got struct {
		Status string
		Checks map[string]string
	}
	running.Guest().Do(t, "GET", "/readyz", nil).Want(t, 200, &got)
	if got.Status != "ready" || got.Checks["auth"] != "ok" || got.Checks["sidecar"] != "ok" {
		t.Errorf("got %+v, want status ready and every check ok", got)
	}
}

// Each sidecar must load exactly the components and subscriptions whose scopes include
// its app, or that have no scopes.
func TestSidecarsLoadOnlyTheResourcesOfTheirApp(t *testing.T) {
	for _, i := range running.Instances {
		want := loaded{Components: []component{}, Subscriptions: []subscription{}}
		for _, r := range resourcesOf(t, i.App) {
			switch r.Kind {
			case "Component":
				want.Components = append(want.Components, component{r.Metadata.Name, r.Spec.Type, r.Spec.Version})
			case "Subscription":
				want.Subscriptions = append(want.Subscriptions, r.subscription())
			}
		}
		got := loaded{Components: []component{}, Subscriptions: []subscription{}}
		getFromSidecar(t, i, "/v1.0/metadata").Want(t, 200, &got)
		for _, pair := range [][2][]string{
			{lines(got.Components), lines(want.Components)},
			{lines(got.Subscriptions), lines(want.Subscriptions)},
		} {
			if got, want := pair[0], pair[1]; !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", i.Name, got, want)
			}
		}
	}
}

// getFromSidecar sends a GET to a sidecar, with its token.
func getFromSidecar(t *testing.T, i stack.Instance, path string) stack.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", i.HTTPPort, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("dapr-api-token", i.APIToken)
	return stack.Send(t, r)
}

// loaded holds the resources that a sidecar reports in its metadata.
type loaded struct {
	Components    []component
	Subscriptions []subscription
}

type component struct{ Name, Type, Version string }

type subscription struct {
	PubsubName, Topic, DeadLetterTopic, Type string
	Rules                                    []rule
}

type rule struct{ Match, Path string }

// resource is a component or a subscription in a YAML file.
type resource struct {
	Kind     string
	Metadata struct{ Name string }
	Scopes   []string // empty for every app
	Spec     struct {
		Type, Version     string // of a component
		PubsubName, Topic string // of a subscription, as are the following fields
		DeadLetterTopic   string `yaml:"deadLetterTopic"`
		Routes            struct {
			Rules   []rule
			Default string
		}
	}
}

// subscription returns the resource as the sidecar reports it. The default route becomes
// the last rule, which has no match.
func (r resource) subscription() subscription {
	s := subscription{
		PubsubName: r.Spec.PubsubName, Topic: r.Spec.Topic, DeadLetterTopic: r.Spec.DeadLetterTopic,
		Type: "DECLARATIVE", Rules: r.Spec.Routes.Rules,
	}
	if r.Spec.Routes.Default != "" {
		s.Rules = append(s.Rules, rule{Path: r.Spec.Routes.Default})
	}
	return s
}

// resourcesOf returns the resources that an app's sidecar must load from the folders that
// dapr.yaml names.
func resourcesOf(t *testing.T, app string) []resource {
	t.Helper()
	const dir = "../../dapr"
	runFile := documents[struct {
		Common struct {
			Folders []string `yaml:"resourcesPaths"`
		}
	}](t, filepath.Join(dir, "dapr.yaml"))
	var found []resource
	for _, folder := range runFile[0].Common.Folders {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("folder %s contains no YAML: %v", folder, err)
		}
		for _, file := range files {
			for _, r := range documents[resource](t, file) {
				if len(r.Scopes) == 0 || slices.Contains(r.Scopes, app) {
					found = append(found, r)
				}
			}
		}
	}
	return found
}

// documents decodes all documents of a YAML file.
func documents[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	for dec := yaml.NewDecoder(f); ; {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, v)
	}
}

// lines returns the items as text, sorted.
func lines[T any](items []T) []string {
	var all []string
	for _, item := range items {
		all = append(all, fmt.Sprintf("%+v", item))
	}
	slices.Sort(all)
	return all
}

// The arguments and the environment of a program must contain the HTTP port of its own
// sidecar, and no port of another program or its sidecar.
func TestProgramsAreConfiguredWithoutPortsOfOthers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	for _, i := range running.Instances {
		configured := words(t, i.Name)
		if !configured[strconv.Itoa(i.HTTPPort)] {
			t.Errorf("%s is not configured with the port of its sidecar, %d", i.Name, i.HTTPPort)
		}
		for _, other := range running.Instances {
			if other.Name == i.Name {
				continue
			}
			for name, port := range map[string]int{
				"the port": other.Port, "the sidecar's HTTP port": other.HTTPPort,
				"the sidecar's gRPC port": other.GRPCPort, "the sidecar's metrics port": other.MetricsPort,
				"the metrics port": other.AppMetricsPort,
			} {
				if configured[strconv.Itoa(port)] {
					t.Errorf("%s is configured with %s of %s, %d", i.Name, name, other.Name, port)
				}
			}
		}
	}
}

// words returns the words in a process's arguments and environment.
func words(t *testing.T, process string) map[string]bool {
	t.Helper()
	pid, err := running.PID(process)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range regexp.MustCompile(`\w+`).FindAllString(string(text), -1) {
			all[word] = true
		}
	}
	return all
}
