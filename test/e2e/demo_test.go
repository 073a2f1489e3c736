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

// The first run of the demo creates its events, and the second one finds them. Each run
// books seats and prints a trace.
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
	for _, season := range []string{"200 events, 200 created, 0 existed already", "200 events, 0 created, 200 existed already"} {
		demo := exec.CommandContext(ctx, program)
		demo.Dir, demo.Env = root, append(os.Environ(), "DATA_DIR="+running.Data)
		out, err := demo.CombinedOutput()
		if err != nil {
			t.Fatalf("demo: %v\n%s", err, out)
		}
		for _, want := range []string{
			"season: " + season + "\n",
			`(?m)^  Ada +Tosca .* confirmed, .* cancelled$`,
			`(?m)^  Tosca +Staatsoper, Vienna +[48] bookings$`,
			"requests returned the expected status",
			`(?m)^gateway  POST /api/bookings ·+ \d`,
			`(?m)└─ event  facts /facts/bookings ·+ \d`,
		} {
			if !regexp.MustCompile(want).Match(out) {
				t.Errorf("got output\n%s\nwant a match of %s", out, want)
			}
		}
		if strings.ContainsAny(string(out), "\r\x1b") {
			t.Errorf("the output contains a progress bar although it is not a terminal: %q", out)
		}
	}
}
