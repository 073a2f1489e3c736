package traces_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"boxoffice/tools/traces"
)

// spanOf returns a span in Jaeger's JSON. Process p1 is the gateway, p2 its sidecar.
func spanOf(id, parent, process, name string, startTime, duration int) string {
	refs := ""
	if parent != "" {
		refs = fmt.Sprintf(`{"refType":"CHILD_OF","spanID":%q}`, parent)
	}
	return fmt.Sprintf(`{"spanID":%q,"operationName":%q,"processID":%q,"startTime":%d,"duration":%d,"references":[%s]}`,
		id, name, process, startTime, duration, refs)
}

// jaeger returns a Jaeger that responds with each list of spans in turn, and then
// always with the last one.
func jaeger(t *testing.T, responses ...[]string) traces.Jaeger {
	t.Helper()
	next := make(chan int, 1)
	next <- 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/traces/abc" {
			t.Errorf("got a request for %s, want /api/traces/abc", r.URL.Path)
		}
		n := <-next
		next <- min(n+1, len(responses)-1)
		fmt.Fprintf(w, `{"data":[{"spans":[%s],"processes":{
			"p1":{"serviceName":"gateway","tags":[{"key":"service.instance.id"}]},
			"p2":{"serviceName":"gateway","tags":[]}}}]}`, strings.Join(responses[n], ","))
	}))
	t.Cleanup(server.Close)
	return traces.Jaeger(server.URL)
}

func TestStringRendersATree(t *testing.T) {
	j := jaeger(t, []string{
		spanOf("4", "2", "p2", "/dapr.proto.runtime.v1.Dapr/TryLockAlpha1", 50, 900),
		spanOf("1", "", "p1", "POST /api/bookings", 10, 2_500_000),
		spanOf("5", "1", "p1", "find "+strings.Repeat("long", 40), 90, 4_000),
		spanOf("2", "1", "p1", "call", 20, 1_500),
		spanOf("6", "2", "p1", "find users", 60, 400),
		spanOf("7", "2", "p1", "find users", 70, 700),
	})
	root, err := j.Fetch(t.Context(), "abc")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(root.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n != 100 {
			t.Errorf("got %d columns, want 100: %q", n, line)
		}
		text, took, _ := strings.Cut(line, " ·")
		got = append(got, text+" | "+strings.TrimLeft(took, "· "))
	}
	want := []string{
		"gateway  POST /api/bookings | 2.50 s",
		"├─ gateway  call | 1.5 ms",
		"│  ├─ daprd of gateway  Dapr/TryLockAlpha1 | 900 µs",
		"│  └─ gateway  find users  ×2 | 1.1 ms",
	}
	if len(got) != 5 || strings.Join(got[:4], "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s\nand a truncated line", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(root.String(), "…") {
		t.Errorf("got\n%s\nwant an ellipsis in the long name", root)
	}
}

func TestFetchRefusesIncompleteTraces(t *testing.T) {
	for name, tt := range map[string]struct {
		spans []string
		want  string
	}{
		"a parent is missing": {[]string{spanOf("1", "", "p1", "a", 1, 1), spanOf("2", "9", "p2", "b", 2, 1)}, `the parent of "daprd gateway b" is missing`},
		"two roots":           {[]string{spanOf("1", "", "p1", "a", 1, 1), spanOf("2", "", "p1", "b", 2, 1)}, "two roots"},
		"no spans":            {nil, "no root among 0 spans"},
	} {
		_, err := jaeger(t, tt.spans).Fetch(t.Context(), "abc")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestWaitPollsUntilTheTraceIsComplete(t *testing.T) {
	root := spanOf("1", "", "p1", "a", 1, 1)
	child := spanOf("2", "1", "p2", "b", 2, 1)
	complete := func(s *traces.Span) error {
		_, err := s.Find("daprd gateway b")
		return err
	}
	if _, err := jaeger(t, nil, []string{root}, []string{root, child}).Wait(t.Context(), "abc", complete); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := jaeger(t, []string{root}).Wait(ctx, "abc", complete)
	if err == nil || !strings.Contains(err.Error(), `trace abc: no "daprd gateway b" beneath "gateway a"`) {
		t.Errorf("got %v, want an error that names what is missing", err)
	}
}

func TestFindBacktracksOverSiblingsWithTheSameLabel(t *testing.T) {
	root, err := jaeger(t, []string{
		spanOf("1", "", "p1", "a", 1, 1), spanOf("2", "1", "p1", "b", 2, 1), spanOf("3", "1", "p1", "b", 3, 1), spanOf("4", "3", "p1", "c", 4, 1),
	}).Fetch(t.Context(), "abc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Find("gateway b", "gateway c"); err != nil {
		t.Error(err)
	}
}
