package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The demo fills the stack once, plays its people each time, and shows a trace.
func TestDemoRunsTwice(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./tools/demo")
	build.Dir, build.Env = root, append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, season := range []string{"200 events, 200 new, 0 already there", "200 events, 0 new, 200 already there"} {
		demo := exec.CommandContext(ctx, program)
		demo.Dir, demo.Env = root, append(os.Environ(), "DATA_DIR="+running.Data)
		out, err := demo.CombinedOutput()
		if err != nil {
			t.Fatalf("demo: %v\n%s", err, out)
		}
		for _, want := range []string{
			"the season: " + season + "\n",
			`(?m)^  Ada +Tosca .* confirmed, .* cancelled$`,
			`(?m)^  Tosca +Staatsoper, Vienna +[48] in all$`,
			"answers, each with the status that it should have",
			`(?m)^gateway  POST /api/bookings ·+ \d`,
			`(?m)└─ event  facts /facts/bookings ·+ \d`,
		} {
			if !regexp.MustCompile(want).Match(out) {
				t.Errorf("got\n%s\nwant %s", out, want)
			}
		}
		if strings.ContainsAny(string(out), "\r\x1b") {
			t.Errorf("a bar is drawn where nobody sees it: %q", out)
		}
	}
}
