package e2e_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// ownMetric matches the names of the metrics that docs/observability.md lists one by one.
var ownMetric = regexp.MustCompile(`^(boxoffice|http|rpc)_`)

// served is a metric of a program, such as "event boxoffice_reconcile_drift_total counter kind".
type served string

func TestObservabilityPageListsTheMetricsOfEachProgram(t *testing.T) {
	// All operations of a program measure the same, but a histogram exists only once it has
	// a measurement.
	eventID := running.CreateEvent(t, 10)
	ada, _ := running.Register(t)
	ada.Book(t, eventID, 1, "").Want(t, 201, nil)

	onPage := metricsOnPage(t)
	kit.Eventually(t, stack.WaitTimeout, "the page lists what the programs serve", func() error {
		scraped := map[served]bool{}
		for _, i := range running.Instances {
			text, err := scrape(t.Context(), i, "text/plain")
			if err != nil {
				return err
			}
			for _, m := range metricsIn(t, i.App, text) {
				scraped[m] = true
			}
		}
		for m := range scraped {
			if !onPage[m] {
				return fmt.Errorf("docs/observability.md lacks %q", m)
			}
		}
		for m := range onPage {
			if !scraped[m] {
				return fmt.Errorf("docs/observability.md lists %q, but no instance serves that", m)
			}
		}
		return nil
	})
	if len(onPage) < 6 {
		t.Errorf("got %d metrics on the page, want at least 6: the parser misses some", len(onPage))
	}
}

// A slow request in a chart leads to its trace.
func TestMetricsHaveExemplars(t *testing.T) {
	running.CreateEvent(t, 10)
	for _, app := range []string{"gateway", "event"} {
		found := false
		for _, i := range running.Instances {
			if i.App != app {
				continue
			}
			text, err := scrape(t.Context(), i, "application/openmetrics-text; version=1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(text, `# {`) && strings.Contains(text, `trace_id="`)
		}
		if !found {
			t.Errorf("%s: got no exemplar, want the trace id of a request", app)
		}
	}
}

func TestEachInstanceIsItsOwnTarget(t *testing.T) {
	targets := map[string]string{}
	for _, i := range running.Instances {
		text, err := scrape(t.Context(), i, "text/plain")
		if err != nil {
			t.Fatal(err)
		}
		for series := range kit.ParseSamples(t, strings.NewReader(text)) {
			if !strings.HasPrefix(series, "target_info{") {
				continue
			}
			if other := targets[series]; other != "" {
				t.Errorf("%s and %s are both %s", i.Name, other, series)
			}
			if !strings.Contains(series, `service_name="`+i.App+`"`) {
				t.Errorf("%s: got %s, want the service %s", i.Name, series, i.App)
			}
			targets[series] = i.Name
		}
	}
	if len(targets) != len(running.Instances) {
		t.Errorf("got %d targets, want one for each of the %d instances", len(targets), len(running.Instances))
	}
}

// scrape returns the metrics of an instance.
func scrape(ctx context.Context, i stack.Instance, accept string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", i.AppMetricsPort), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("scrape %s: %w", i.Name, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("scrape %s: got status %d: %w", i.Name, res.StatusCode, err)
	}
	return string(text), nil
}

var labelName = regexp.MustCompile(`([a-z_]+)="`)

// metricsIn returns the listed metrics of a scrape, with the labels of all their series.
func metricsIn(t *testing.T, program, text string) []served {
	t.Helper()
	types, labels := map[string]string{}, map[string]map[string]bool{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[1] == "TYPE" && ownMetric.MatchString(fields[2]) {
			types[fields[2]], labels[fields[2]] = fields[3], map[string]bool{}
		}
	}
	for series := range kit.ParseSamples(t, strings.NewReader(text)) {
		name, rest, _ := strings.Cut(series, "{")
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			family := labels[strings.TrimSuffix(name, suffix)]
			if family == nil {
				continue
			}
			for _, m := range labelName.FindAllStringSubmatch(rest, -1) {
				if m[1] != "le" {
					family[m[1]] = true
				}
			}
			break
		}
	}
	var all []served
	for name, kind := range types {
		all = append(all, newServed(program, name, kind, slices.Collect(maps.Keys(labels[name]))))
	}
	return all
}

func newServed(program, name, kind string, labels []string) served {
	slices.Sort(labels)
	return served(strings.TrimSpace(program + " " + name + " " + kind + " " + strings.Join(labels, ",")))
}

var quoted = regexp.MustCompile("`([a-z_]+)`")

// metricsOnPage reads the table of docs/observability.md.
func metricsOnPage(t *testing.T) map[served]bool {
	t.Helper()
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[served]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		name := quoted.FindStringSubmatch(cells[1])
		if name == nil {
			continue
		}
		var labels []string
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			labels = append(labels, m[1])
		}
		for program := range strings.SplitSeq(cells[4], ",") {
			all[newServed(strings.TrimSpace(program), name[1], strings.TrimSpace(cells[2]), slices.Clone(labels))] = true
		}
	}
	return all
}
