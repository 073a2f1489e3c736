// Command demo fills a running Boxoffice with a season of events, plays a few
// people who book at once, and shows the trace of the last booking. It may run
// again and again: events that are there stay, and the people are new.
//
// It finds the stack by what "make run" leaves in $DATA_DIR (.data), and takes
// ADMIN_EMAIL and ADMIN_PASSWORD before the admin that stands there. A stack that
// has no Jaeger is no failure: the demo says that it has no trace to show.
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

// seasonFile is relative to the top of the tree, where make runs the demo.
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
	began := time.Now()
	where, err := locate(getenv)
	if err != nil {
		return err
	}
	events, err := season.Read(seasonFile)
	if err != nil {
		return err
	}
	d := &demo{out: stdout, where: where}
	if err := d.ready(ctx); err != nil {
		return err
	}
	boss, err := d.admin(ctx)
	if err != nil {
		return fmt.Errorf("log the admin in: %w", err)
	}
	if err := d.load(ctx, boss, events, began); err != nil {
		return fmt.Errorf("load the season: %w", err)
	}
	last, err := d.play(ctx, boss, events)
	if err != nil {
		return err
	}
	d.say("%d answers, each with the status that it should have, in %s\n\n",
		d.answers.Load(), time.Since(began).Round(100*time.Millisecond))
	return d.show(ctx, last)
}

// demo is one run.
type demo struct {
	out       io.Writer
	where     place
	transport http.RoundTripper // nil: the network
	answers   atomic.Int64      // that were as they should be
	saying    sync.Mutex
}

// say writes for who watches. Somebody who has gone away is no reason to stop.
func (d *demo) say(format string, args ...any) {
	d.saying.Lock()
	defer d.saying.Unlock()
	_, _ = fmt.Fprintf(d.out, format, args...)
}

// ready asks whether a gateway runs there.
func (d *demo) ready(ctx context.Context) error {
	err := d.guest().call(ctx, request{method: "GET", path: "/readyz", want: 200}, nil)
	if _, ok := errors.AsType[*noAnswer](err); ok {
		return fmt.Errorf("no gateway answers at %s: start `make run` first", d.where.gateway)
	}
	if err != nil {
		return fmt.Errorf("the gateway at %s is not ready: %w", d.where.gateway, err)
	}
	return nil
}
