package spectest_test

import (
	"slices"
	"strings"
	"testing"
)

// TestComplaints holds the judge to it that the list of known failures can
// neither hide one nor outlive it.
func TestComplaints(t *testing.T) {
	const test = "suite/file.json/test"
	refused := []known{{reason: "No views", says: "no views", tests: []string{test}}}
	for _, c := range []struct {
		name string
		list []known
		outcome
		want string // the start of the complaint, empty for none
	}{
		{"passes", nil, outcome{"test", passed, ""}, ""},
		{"skipped", nil, outcome{"test", skipped, ""}, ""},
		{"fails", nil, outcome{"test", failed, "    a.go:1: no views\n"}, test + ":\na.go:1: no views"},
		{"fails as known", refused, outcome{"test", failed, "there are no views here"}, ""},
		{"fails otherwise", refused, outcome{"test", failed, "no answer"}, test + ` does not say "no views"`},
		{"known and passes", refused, outcome{"test", passed, ""}, test + " is listed as one that fails: pass"},
		{"known and skipped", refused, outcome{"test", skipped, ""}, test + " is listed as one that fails: skip"},
		{"known and absent", []known{{tests: []string{"other"}}}, outcome{"test", passed, ""}, "other is listed as one that fails and was not run"},
		{"known twice", append(refused, refused...), outcome{"test", failed, "no views"}, test + " is listed twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := report{known: c.list, sections: []section{{
				name: "suite", rows: []row{{"file.json", []outcome{c.outcome}}},
			}}}
			got := strings.Join(found.complaints(), "\n")
			if !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSkipReason(t *testing.T) {
	const environment = "    mongotest.go:1: skipping due to environmental constraints: no matching RunOnBlock; comparison errors: "
	for said, want := range map[string]string{
		environment + `[server version "7.0.5" is lower than min required version "8.0"]`:                                                                            "for servers from MongoDB 8.0",
		environment + `[server version "7.0.5" is higher than max version "4.2.99" topology kind "replicaset" does not match any of the required kinds ["sharded"]]`: `for servers up to MongoDB 4.2.99, or on "sharded"`,
		`    skip.go:9: Skipping due to known failure: "Not yet (GODRIVER-1)"`:                                                                                       "the driver skips it: Not yet (GODRIVER-1)",
		`    runner.go:2: test must be skipped: "comments are strings."`:                                                                                             "the driver skips it: comments are strings",
		`    crud.go:3: count has been deprecated`:                                                                                                                   "count has been deprecated",
	} {
		if got := (outcome{"", skipped, "=== RUN x\n" + said + "\n--- SKIP: x (0.00s)\n"}).skipReason(); got != want {
			t.Errorf("%s\ngot %q, want %q", said, got, want)
		}
	}
}

func TestLeaves(t *testing.T) {
	got := leaves([]outcome{{name: "A/b/c (d)"}, {name: "A/b"}, {name: "A"}, {name: "E/f"}, {name: "E"}, {name: "G"}})
	if want := []string{"A/b/c (d)", "E/f", "G"}; !slices.Equal(got, want) {
		t.Errorf("leaves: got %q, want %q", got, want)
	}
	if got, want := exactly(got), `^A$/^b$/^c \(d\)$|^E$/^f$|^G$`; got != want {
		t.Errorf("exactly: got %q, want %q", got, want)
	}
}
