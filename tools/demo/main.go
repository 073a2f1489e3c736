// Command demo loads a season of events into a running Boxoffice, simulates a few
// people who book concurrently, and prints the trace of the last booking. It can be
// run repeatedly: it keeps existing events and registers new people each time.
//
// It finds the stack through the files that "make run" writes to $DATA_DIR (default
// .data). ADMIN_EMAIL and ADMIN_PASSWORD override the admin's credentials in those
// files. Without Jaeger the demo succeeds and prints that there is no trace.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // the zones of events must not depend on the machine

	"boxoffice/tools/demo/season"
)

// seasonFile is relative to the root of the repository, where make runs the demo.
const seasonFile = "examples/events.json"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	start := time.Now()
	stack, err := findStack(getenv)
	if err != nil {
		return err
	}
	events, err := season.Read(seasonFile)
	if err != nil {
		return err
	}
	d := &demo{out: stdout, stack: stack}
	if err := d.checkReady(ctx); err != nil {
		return err
	}
	admin, err := d.logInAdmin(ctx)
	if err != nil {
		return fmt.Errorf("log the admin in: %w", err)
	}
	if err := d.loadSeason(ctx, admin, events, start); err != nil {
		return fmt.Errorf("load the season: %w", err)
	}
	last, err := d.simulate(ctx, admin, events)
	if err != nil {
		return err
	}
	d.printf("%d requests returned the expected status, in %s\n\n",
		d.succeeded.Load(), time.Since(start).Round(100*time.Millisecond))
	return d.printTrace(ctx, last)
}

// demo is one run of the command.
type demo struct {
	stack     stack
	transport http.RoundTripper // nil means http.DefaultTransport
	succeeded atomic.Int64      // requests that returned the expected status

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

// printf prints progress. It ignores errors: the demo goes on even if its output cannot
// be written.
func (d *demo) printf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.out, format, args...)
}

// checkReady returns an error if no gateway is ready.
func (d *demo) checkReady(ctx context.Context) error {
	err := d.newClient().call(ctx, request{method: "GET", path: "/readyz", want: 200}, nil)
	if _, ok := errors.AsType[*connectionError](err); ok {
		return fmt.Errorf("no gateway is running at %s: start `make run` first", d.stack.gateway)
	}
	if err != nil {
		return fmt.Errorf("the gateway at %s is not ready: %w", d.stack.gateway, err)
	}
	return nil
}
