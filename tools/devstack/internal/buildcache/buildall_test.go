package buildcache_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/buildcache"
)

func TestProgressCountsModulesAndPackages(t *testing.T) {
	reported := make(chan string, 100)
	b := newBuilder(t, func(ctx context.Context, c buildcache.Command) error {
		if _, err := io.WriteString(c.Output, "go: downloading example.org/x v1.0.0\nexample.org/x\nexample.org/app/cmd/hello\n"); err != nil {
			return err
		}
		select {
		case line := <-reported: // the build runs until it has been reported
			reported <- line
			return fakeGo(ctx, c)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	b.Every = time.Millisecond
	b.Report = func(line string) {
		if strings.HasPrefix(line, "building") && strings.Contains(line, "compiled") {
			select {
			case reported <- line:
			default:
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	built, err := b.Build(ctx, target(app(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer release(t, built)
	if got, want := <-reported, "building app (1 modules downloaded, 2 packages compiled), 0s"; got != want {
		t.Errorf("got progress %q, want %q", got, want)
	}
}

// TestTargetsAreBuiltTwoAtATime builds three targets. The third starts when one of
// the first two is complete. A report names both builds that run.
func TestTargetsAreBuiltTwoAtATime(t *testing.T) {
	dir := app(t)
	var targets []buildcache.Target
	for _, name := range []string{"one", "two", "three"} {
		target := target(dir)
		target.Name = name
		targets = append(targets, target)
	}
	reported := make(chan struct{})
	var running atomic.Int32
	b := newBuilder(t, func(ctx context.Context, c buildcache.Command) error {
		if n := running.Add(1); n > 2 {
			t.Errorf("%d builds run at a time, want at most 2", n)
		}
		defer running.Add(-1)
		select {
		case <-reported:
			return fakeGo(ctx, c)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	b.Every = time.Millisecond
	var once sync.Once
	both := regexp.MustCompile(`^building (one, two|two, one), \d+s$`)
	b.Report = func(line string) {
		if both.MatchString(line) {
			once.Do(func() { close(reported) })
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	built, err := b.BuildAll(ctx, targets...)
	if err != nil {
		t.Fatal(err)
	}
	for i, built := range built {
		if want := targets[i].Name + "-"; !strings.HasPrefix(filepath.Base(built.Dir), want) {
			t.Errorf("program %d is in %s, want a directory that begins with %s", i, built.Dir, want)
		}
		release(t, built)
	}
}

func TestFailureStopsTheOtherBuilds(t *testing.T) {
	dir := app(t)
	good, bad := target(dir), target(dir)
	good.Name, bad.Name = "good", "bad"
	failed := errors.New("does not compile")
	b := newBuilder(t, func(ctx context.Context, c buildcache.Command) error {
		if c.Name == "build bad" {
			return failed
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if _, err := b.BuildAll(t.Context(), good, bad); !errors.Is(err, failed) {
		t.Errorf("got error %v, want %v", err, failed)
	}
}

func TestLookupDoesNotBuild(t *testing.T) {
	dir := app(t)
	b := newBuilder(t, fakeGo)
	if _, err := b.Lookup(t.Context(), target(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the build: got error %v, want %v", err, fs.ErrNotExist)
	}
	built := b.build(t, target(dir))
	defer release(t, built)
	found, err := b.Lookup(t.Context(), target(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer release(t, found)
	if found.Dir != built.Dir || found.Fresh || b.builds != 1 {
		t.Errorf("after the build: got %s, fresh %t and %d builds, want %s, false and 1", found.Dir, found.Fresh, b.builds, built.Dir)
	}
}
