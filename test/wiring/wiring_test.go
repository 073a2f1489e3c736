// Package wiring_test holds the YAML of components/ and dapr/ against itself:
// what Dapr passes over in silence is an error here.
package wiring_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

type component struct {
	Kind     string
	Metadata struct{ Name string }
	Scopes   []string
	Spec     struct {
		Type     string
		Metadata []struct{ Name, Value string }
	}
}

type resiliency struct {
	Spec struct {
		Policies struct {
			Timeouts map[string]string
			Retries  map[string]struct {
				MaxRetries *int          `yaml:"maxRetries"`
				Duration   time.Duration `yaml:"duration"`
			}
			CircuitBreakers map[string]struct {
				Trip    string
				Timeout time.Duration // how long it stays open
			} `yaml:"circuitBreakers"`
		}
		Targets struct {
			Apps       map[string]map[string]string
			Components map[string]struct{ Outbound, Inbound map[string]string }
		}
	}
}

func read[T any](t *testing.T, path string) T {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

type app struct {
	ID             string `yaml:"appID"`
	Probed         bool   `yaml:"enableAppHealthCheck"`
	ProbeInterval  int    `yaml:"appHealthProbeInterval"` // seconds
	ProbeTimeout   int    `yaml:"appHealthProbeTimeout"`  // milliseconds
	ProbeThreshold int    `yaml:"appHealthThreshold"`
}

func apps(t *testing.T) []app {
	t.Helper()
	return read[struct{ Apps []app }](t, "../../dapr/dapr.yaml").Apps
}

func policies(t *testing.T) resiliency {
	t.Helper()
	return read[resiliency](t, "../../dapr/resiliency.yaml")
}

func components(t *testing.T) map[string]component {
	t.Helper()
	files, err := filepath.Glob("../../components/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no components: %v", err)
	}
	found := map[string]component{}
	for _, f := range files {
		found[f] = read[component](t, f)
	}
	return found
}

func TestEveryComponentHasScopesAndPolicies(t *testing.T) {
	targets := policies(t).Spec.Targets.Components
	names := map[string]bool{}
	for file, c := range components(t) {
		names[c.Metadata.Name] = true
		if c.Kind != "Component" || c.Spec.Type == "" {
			t.Errorf("%s is no component", file)
		}
		if len(c.Scopes) == 0 {
			t.Errorf("%s may be loaded by any app", file)
		}
		if _, ok := targets[c.Metadata.Name]; !ok {
			t.Errorf("%s: the policies do not name %s, so Dapr retries without a bound", file, c.Metadata.Name)
		}
	}
	for name := range targets {
		if !names[name] {
			t.Errorf("the policies name %s, which is no component", name)
		}
	}
}

func TestEveryAppHasPolicies(t *testing.T) {
	named := policies(t).Spec.Targets.Apps
	for _, a := range apps(t) {
		for _, kind := range []string{"timeout", "retry", "circuitBreaker"} {
			if named[a.ID][kind] == "" {
				t.Errorf("%s has no %s", a.ID, kind)
			}
		}
	}
}

func TestPoliciesThatAreNamedExistAndAreBounded(t *testing.T) {
	spec := policies(t).Spec
	check := func(who string, names map[string]string) {
		for kind, name := range names {
			var ok bool
			switch kind {
			case "timeout":
				_, ok = spec.Policies.Timeouts[name]
			case "retry":
				_, ok = spec.Policies.Retries[name]
			case "circuitBreaker":
				_, ok = spec.Policies.CircuitBreakers[name]
			}
			if !ok {
				t.Errorf("%s: there is no %s %q", who, kind, name)
			}
		}
	}
	for app, names := range spec.Targets.Apps {
		check(app, names)
	}
	for name, c := range spec.Targets.Components {
		check(name, c.Outbound)
		check(name, c.Inbound)
	}
	for name, r := range spec.Policies.Retries {
		if r.MaxRetries == nil || *r.MaxRetries < 0 || *r.MaxRetries > 4 {
			t.Errorf("retry %s has no bound", name)
		}
	}
	outgoing := maps.Clone(spec.Targets.Apps)
	for name, c := range spec.Targets.Components {
		outgoing[name] = c.Outbound
	}
	for who, names := range outgoing {
		if r, ok := spec.Policies.Retries[names["retry"]]; ok && (r.MaxRetries == nil || *r.MaxRetries > 2) {
			t.Errorf("a call of %s is tried too often", who)
		}
	}
	for name, b := range spec.Policies.CircuitBreakers {
		if b.Trip == "" {
			t.Errorf("circuit breaker %s trips after a run of failures", name)
		}
	}
}

// A client that comes again when the gateway tells it to, after a second, is not
// turned away by a breaker that waits longer.
func TestBreakersOfAppsOpenNoLongerThanClientsWait(t *testing.T) {
	const retryAfter = time.Second
	spec := policies(t).Spec
	for app, names := range spec.Targets.Apps {
		if open := spec.Policies.CircuitBreakers[names["circuitBreaker"]].Timeout; open <= 0 || open > retryAfter {
			t.Errorf("the breaker of %s stays open for %s, clients wait %s", app, open, retryAfter)
		}
	}
}

// A caller gives up before its sidecar does, else the breaker counts the call as
// one that was cancelled.
func TestSidecarsWaitLongerThanCallers(t *testing.T) {
	spec := policies(t).Spec
	for app, deadlines := range map[string][]time.Duration{
		authapi.App: {authapi.Register.Timeout, authapi.LogIn.Timeout, authapi.Refresh.Timeout, authapi.LogOut.Timeout, authapi.CheckSession.Timeout, authapi.GetKeys.Timeout},
		"event":     {eventapi.CreateEvent.Timeout, eventapi.GetEvent.Timeout, eventapi.ListEvents.Timeout, eventapi.ReserveSeats.Timeout, eventapi.ReleaseSeats.Timeout},
		"booking":   {bookingapi.CreateBooking.Timeout, bookingapi.ConfirmBooking.Timeout, bookingapi.CancelBooking.Timeout, bookingapi.SettleHold.Timeout},
	} {
		patience, err := time.ParseDuration(spec.Policies.Timeouts[spec.Targets.Apps[app]["timeout"]])
		if err != nil {
			t.Fatalf("%s: %v", app, err)
		}
		if longest := slices.Max(deadlines); longest <= 0 || patience <= longest {
			t.Errorf("%s: the sidecar waits %s, its callers %s", app, patience, longest)
		}
	}
}

// All tries of a delivery end before the broker delivers again, and outlast the
// probes after which the facts of an app that is away wait for it.
func TestDeliveriesEndBetweenTheProbesAndTheBroker(t *testing.T) {
	spec := policies(t).Spec
	inbound := spec.Targets.Components["pubsub"].Inbound
	retry := spec.Policies.Retries[inbound["retry"]]
	tries, pauses := time.Duration(*retry.MaxRetries+1), time.Duration(*retry.MaxRetries)
	timeout := duration(t, spec.Policies.Timeouts[inbound["timeout"]])
	ackWait := duration(t, metadata(t, components(t)["../../components/pubsub-jetstream/pubsub.yaml"], "ackWait"))
	if longest := tries*timeout + pauses*retry.Duration; longest >= ackWait {
		t.Errorf("deliveries end after %s, the broker waits %s", longest, ackWait)
	}
	for _, a := range apps(t) {
		probes := time.Duration(a.ProbeThreshold*a.ProbeInterval)*time.Second + time.Duration(a.ProbeTimeout)*time.Millisecond
		if shortest := pauses * retry.Duration; a.Probed && shortest <= probes {
			t.Errorf("%s: deliveries may end after %s, it is known to be away after %s", a.ID, shortest, probes)
		}
	}
}

// A fact whose deliveries are counted is lost after the last: without the sidecar,
// or with no one to take its dead letters, none of them says so.
func TestDeliveriesAreNotLimited(t *testing.T) {
	for file, c := range components(t) {
		for _, m := range c.Spec.Metadata {
			if m.Name == "maxDeliver" {
				t.Errorf("%s: the broker gives up after %s deliveries", file, m.Value)
			}
		}
	}
}

func metadata(t *testing.T, c component, name string) string {
	t.Helper()
	for _, m := range c.Spec.Metadata {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("%s has no %s", c.Metadata.Name, name)
	return ""
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
