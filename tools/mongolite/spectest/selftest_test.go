package spectest_test

import (
	"slices"
	"strings"
	"testing"
)

// TestProblemsComparesFailuresWithKnownFailures checks that the list of known
// failures hides no other failure, and that every entry of the list must fail.
func TestProblemsComparesFailuresWithKnownFailures(t *testing.T) {
	const test = "suite/file.json/test"
	listed := []knownFailure{{reason: "Views are not supported", message: "no views", tests: []string{test}}}
	for _, c := range []struct {
		name string
		list []knownFailure
		outcome
		want string // the start of the problem, empty for none
	}{
		{"passes", nil, outcome{"test", passed, ""}, ""},
		{"skipped", nil, outcome{"test", skipped, ""}, ""},
		{"fails", nil, outcome{"test", failed, "    a.go:1: no views\n"}, test + ":\na.go:1: no views"},
		{"listed and fails", listed, outcome{"test", failed, "there are no views here"}, ""},
		{"listed and fails with another message", listed, outcome{"test", failed, "no answer"}, test + `: got a failure without the message "no views"`},
		{"listed and passes", listed, outcome{"test", passed, ""}, test + ": got pass, want a known failure"},
		{"listed and skipped", listed, outcome{"test", skipped, ""}, test + ": got skip, want a known failure"},
		{"listed and not run", []knownFailure{{tests: []string{"other"}}}, outcome{"test", passed, ""}, "other: was not run, want a known failure"},
		{"listed twice", append(listed, listed...), outcome{"test", failed, "no views"}, test + " is listed twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := report{known: c.list, sections: []section{{
				name: "suite", rows: []row{{"file.json", []outcome{c.outcome}}},
			}}}
			got := strings.Join(found.problems(), "\n")
			if !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestSkipReasonIsExtractedFromOutput checks the messages of all runners.
func TestSkipReasonIsExtractedFromOutput(t *testing.T) {
	const environment = "    mongotest.go:1: skipping due to environmental constraints: no matching RunOnBlock; comparison errors: "
	for output, want := range map[string]string{
		environment + `[server version "7.0.5" is lower than min required version "8.0"]`:                                                                            "needs MongoDB 8.0 or newer",
		environment + `[server version "7.0.5" is higher than max version "4.2.99" topology kind "replicaset" does not match any of the required kinds ["sharded"]]`: `needs MongoDB 4.2.99 or older, or the topology "sharded"`,
		`    skip.go:9: Skipping due to known failure: "Not yet (GODRIVER-1)"`:                                                                                       "skipped by the driver: Not yet (GODRIVER-1)",
		`    runner.go:2: test must be skipped: "comments are strings."`:                                                                                             "skipped by the driver: comments are strings",
		`    crud.go:3: count has been deprecated`:                                                                                                                   "count has been deprecated",
	} {
		if got := (outcome{"", skipped, "=== RUN x\n" + output + "\n--- SKIP: x (0.00s)\n"}).skipReason(); got != want {
			t.Errorf("%s\ngot %q, want %q", output, got, want)
		}
	}
}

// TestLeafTestsAndTheirPattern checks which tests a second process skips.
func TestLeafTestsAndTheirPattern(t *testing.T) {
	got := leafTests([]outcome{{name: "A/b/c (d)"}, {name: "A/b"}, {name: "A"}, {name: "E/f"}, {name: "E"}, {name: "G"}})
	if want := []string{"A/b/c (d)", "E/f", "G"}; !slices.Equal(got, want) {
		t.Errorf("leafTests: got %q, want %q", got, want)
	}
	if got, want := exactPattern(got), `^A$/^b$/^c \(d\)$|^E$/^f$|^G$`; got != want {
		t.Errorf("exactPattern: got %q, want %q", got, want)
	}
}
