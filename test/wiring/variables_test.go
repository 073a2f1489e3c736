package wiring_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// devstack gives each program only the variables in its list.
func TestDevstackPassesTheVariablesThatProgramsRead(t *testing.T) {
	got := read[map[string][]string](t, "../../tools/devstack/internal/boxoffice/variables.yaml")
	want := map[string]map[string]bool{}
	all := settingsInCode(t)
	for _, s := range settingsOnPage(t) {
		if slices.Contains(notTagged, s.name) {
			all = append(all, s)
		}
	}
	for _, s := range all {
		program := s.section
		if program == "Every program" {
			program = "every program"
		}
		if want[program] == nil {
			want[program] = map[string]bool{}
		}
		want[program][s.name] = true
	}
	for program := range want {
		for _, name := range got[program] {
			if !want[program][name] {
				t.Errorf("devstack passes %s to %q, but the program does not read it", name, program)
			}
			delete(want[program], name)
		}
		if missing := slices.Sorted(maps.Keys(want[program])); len(missing) > 0 {
			t.Errorf("devstack does not pass %s to %q; add them to its variables.yaml", strings.Join(missing, ", "), program)
		}
	}
	for program := range got {
		if want[program] == nil {
			t.Errorf("variables.yaml lists %q, which is no section of docs/configuration.md", program)
		}
	}
}
