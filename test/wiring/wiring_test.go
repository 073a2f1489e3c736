// Package wiring_test checks the YAML in components/ and dapr/ for mistakes that Dapr
// ignores silently. It also checks that the documentation matches the code.
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
				Timeout time.Duration // how long the breaker stays open
			} `yaml:"circuitBreakers"`
		}
		Targets struct {
			Apps       map[string]map[string]string
			Components map[string]struct{ Outbound, Inbound map[string]string }
		}
	}
}

// read decodes a YAML file.
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

// apps returns the apps of dapr.yaml.
func apps(t *testing.T) []app {
	t.Helper()
	return read[struct{ Apps []app }](t, "../../dapr/dapr.yaml").Apps
}

// policies returns the resiliency policies.
func policies(t *testing.T) resiliency {
	t.Helper()
	return read[resiliency](t, "../../dapr/resiliency.yaml")
}

// components returns all components, by the path of their file.
func components(t *testing.T) map[string]component {
	t.Helper()
	files, err := filepath.Glob("../../components/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no components: %v", err)
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
			t.Errorf("%s: got kind %q and type %q, want a Component with a type", file, c.Kind, c.Spec.Type)
		}
		if len(c.Scopes) == 0 {
			t.Errorf("%s has no scopes, so every app loads it", file)
		}
		if _, ok := targets[c.Metadata.Name]; !ok {
			t.Errorf("%s: %s has no policies, so Dapr retries without a limit", file, c.Metadata.Name)
		}
	}
	for name := range targets {
		if !names[name] {
			t.Errorf("the policies name %s, which is not a component", name)
		}
	}
}

func TestEveryAppHasPolicies(t *testing.T) {
	named := policies(t).Spec.Targets.Apps
	for _, a := range apps(t) {
		for _, kind := range []string{"timeout", "retry", "circuitBreaker"} {
			if named[a.ID][kind] == "" {
				t.Errorf("%s has no %s policy", a.ID, kind)
			}
		}
	}
}

func TestPoliciesExistAndLimitRetries(t *testing.T) {
	spec := policies(t).Spec
	check := func(target string, names map[string]string) {
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
				t.Errorf("%s names the %s policy %q, which does not exist", target, kind, name)
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
			t.Errorf("retry policy %s: want maxRetries between 0 and 4", name)
		}
	}
	outgoing := maps.Clone(spec.Targets.Apps)
	for name, c := range spec.Targets.Components {
		outgoing[name] = c.Outbound
	}
	for target, names := range outgoing {
		if r, ok := spec.Policies.Retries[names["retry"]]; ok && (r.MaxRetries == nil || *r.MaxRetries > 2) {
			t.Errorf("calls to %s: the retry policy allows more than 2 retries", target)
		}
	}
	for name, b := range spec.Policies.CircuitBreakers {
		if b.Trip == "" {
			t.Errorf("circuit breaker %s has no trip expression, so a few consecutive failures would open it", name)
		}
	}
}

// The gateway asks clients to retry after one second. A circuit breaker that stays open
// for longer would reject the retry.
func TestBreakersOfAppsCloseBeforeClientsRetry(t *testing.T) {
	const retryAfter = time.Second
	spec := policies(t).Spec
	for app, names := range spec.Targets.Apps {
		if open := spec.Policies.CircuitBreakers[names["circuitBreaker"]].Timeout; open <= 0 || open > retryAfter {
			t.Errorf("the circuit breaker of %s stays open for %s, but clients retry after %s", app, open, retryAfter)
		}
	}
}

// A caller must give up before its sidecar does, because the circuit breaker counts an
// attempt that runs into the sidecar's timeout as a failure.
func TestSidecarsWaitLongerThanCallers(t *testing.T) {
	spec := policies(t).Spec
	for app, deadlines := range map[string][]time.Duration{
		authapi.App: {authapi.Register.Timeout, authapi.LogIn.Timeout, authapi.Refresh.Timeout, authapi.LogOut.Timeout, authapi.CheckSession.Timeout, authapi.GetKeys.Timeout},
		"event":     {eventapi.CreateEvent.Timeout, eventapi.GetEvent.Timeout, eventapi.ListEvents.Timeout, eventapi.ListCapacityLog.Timeout, eventapi.ReconcileEvent.Timeout, eventapi.SearchEvents.Timeout, eventapi.ReserveSeats.Timeout, eventapi.ReleaseSeats.Timeout, eventapi.SellSeats.Timeout},
		"booking":   {bookingapi.CreateBooking.Timeout, bookingapi.ConfirmBooking.Timeout, bookingapi.CancelBooking.Timeout, bookingapi.SettleHolds.Timeout, bookingapi.ReconcileBookings.Timeout},
	} {
		timeout, err := time.ParseDuration(spec.Policies.Timeouts[spec.Targets.Apps[app]["timeout"]])
		if err != nil {
			t.Fatalf("%s: %v", app, err)
		}
		if longest := slices.Max(deadlines); longest <= 0 || timeout <= longest {
			t.Errorf("%s: the sidecar waits for %s, want longer than the %s of its callers", app, timeout, longest)
		}
	}
}

// All attempts at a delivery must end before the broker redelivers the fact. They must
// also last longer than the health probes take to detect an unhealthy app. The sidecar
// then stops the app's subscriptions, so that its facts wait instead of becoming dead
// letters.
func TestDeliveryAttemptsOutlastProbesAndEndBeforeRedelivery(t *testing.T) {
	spec := policies(t).Spec
	inbound := spec.Targets.Components["pubsub"].Inbound
	retry := spec.Policies.Retries[inbound["retry"]]
	attempts, pauses := time.Duration(*retry.MaxRetries+1), time.Duration(*retry.MaxRetries)
	timeout := duration(t, spec.Policies.Timeouts[inbound["timeout"]])
	ackWait := duration(t, metadata(t, components(t)["../../components/pubsub-jetstream/pubsub.yaml"], "ackWait"))
	if longest := attempts*timeout + pauses*retry.Duration; longest >= ackWait {
		t.Errorf("deliveries may take %s, want less than the %s after which the broker redelivers", longest, ackWait)
	}
	for _, a := range apps(t) {
		probes := time.Duration(a.ProbeThreshold*a.ProbeInterval)*time.Second + time.Duration(a.ProbeTimeout)*time.Millisecond
		if shortest := pauses * retry.Duration; a.Probed && shortest <= probes {
			t.Errorf("%s: deliveries may end after %s, want more than the %s of the health probes", a.ID, shortest, probes)
		}
	}
}

// A broker with a delivery limit drops a fact silently after the last delivery, even if the
// sidecar did not store the fact as a dead letter.
func TestDeliveriesAreNotLimited(t *testing.T) {
	for file, c := range components(t) {
		for _, m := range c.Spec.Metadata {
			if m.Name == "maxDeliver" {
				t.Errorf("%s: the broker drops a fact after %s deliveries, want no limit", file, m.Value)
			}
		}
	}
}

// Every replica of the gateway must receive every fact. With a durable name or a queue group
// the replicas would share the facts, and without deliverPolicy new each start would receive
// the whole stream.
func TestBroadcastReachesEveryReplica(t *testing.T) {
	c := components(t)["../../components/pubsub-broadcast-jetstream/pubsub-broadcast.yaml"]
	got := map[string]string{}
	for _, m := range c.Spec.Metadata {
		got[m.Name] = m.Value
	}
	if got["durableName"] != "" || got["queueGroupName"] != "" || got["deliverPolicy"] != "new" {
		t.Errorf("got metadata %v, want neither a durable name nor a queue group, and deliverPolicy new", got)
	}
	if !slices.Equal(c.Scopes, []string{"gateway"}) || got["subscriptionScopes"] != "gateway="+eventapi.Topic || got["publishingScopes"] != "gateway=" {
		t.Errorf("got scopes %v and metadata %v, want a gateway that only subscribes to %s", c.Scopes, got, eventapi.Topic)
	}
}

// metadata returns the value of one of a component's metadata items.
func metadata(t *testing.T, c component, name string) string {
	t.Helper()
	for _, m := range c.Spec.Metadata {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("component %s has no metadata %s", c.Metadata.Name, name)
	return ""
}

// duration parses a duration.
func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
