// Command bench measures the throughput, latency and cost of Boxoffice. It starts its
// own stack, as "make run" does, on free ports and with a temporary data directory. It
// then measures a ladder of workloads, called rungs, in rounds: every round measures
// every rung once, so that a temporary slowdown of the machine affects all of them.
// README.md describes the rungs and the tables.
//
// At the first unexpected response, the bench ends with an error that names the rung.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal then has its default effect
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the command-line flags.
type settings struct {
	clients  int
	rounds   int
	block    time.Duration
	rungs    string
	after    int
	events   int
	watchers int
	expire   int
	replicas int
	profile  string
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 2 && args[0] == peerCommand {
		return servePeer(ctx, os.Getenv(peerNATSVar), []byte(args[1]), stdin, stdout)
	}
	set, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil // Parse has printed the usage
	}
	if err != nil {
		return err
	}
	b := &bench{settings: set, out: stdout}
	err = b.open(ctx)
	if err == nil {
		switch {
		case set.after > 0:
			err = b.measureGrowth(ctx)
		case set.watchers > 0:
			err = b.measureWatchers(ctx)
		case set.expire > 0:
			err = b.measureExpiry(ctx)
		default:
			err = b.measureLadder(ctx)
		}
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, b.close())
}

func parse(args []string, stdout io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.IntVar(&s.clients, "clients", 32, "number of concurrent clients")
	flags.IntVar(&s.rounds, "rounds", 5, "number of rounds; each measures every rung once")
	flags.DurationVar(&s.block, "block", 3*time.Second, "duration of one measurement of a rung")
	flags.StringVar(&s.rungs, "rungs", "", "measure only the Dapr hop and the rungs whose names contain one of these comma-separated words")
	flags.IntVar(&s.after, "after", 0, "instead of the ladder, compare the cost of a booking after this many bookings of one event with the cost after 200")
	flags.IntVar(&s.events, "events", manyEvents, "number of events; the rungs of reads and searches use all of them")
	flags.IntVar(&s.watchers, "watchers", 0, "instead of the ladder, compare the cost of bookings while this many clients watch the event's availability with their cost without watchers")
	flags.IntVar(&s.expire, "expire", 0, "instead of the ladder, create this many bookings and measure how fast the sweeps expire them")
	flags.IntVar(&s.replicas, "replicas", 1, "number of replicas of each app and of the gateway")
	flags.StringVar(&s.profile, "profile", "", "write a CPU profile of each of Boxoffice's programs, over its whole run, to this directory")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.clients < 1 || s.rounds < 1 || s.block <= 0:
		return s, errors.New("-clients, -rounds and -block must be positive")
	case s.events < manyEvents:
		return s, fmt.Errorf("-events must be at least %d", manyEvents)
	case s.watchers < 0 || s.expire < 0 || s.replicas < 1:
		return s, errors.New("-watchers and -expire must not be negative, and -replicas must be positive")
	case moreThanOne(s.watchers > 0, s.after > 0, s.expire > 0):
		return s, errors.New("-after, -watchers and -expire exclude each other")
	case s.after != 0 && s.after <= 2*growthBlock:
		return s, fmt.Errorf("-after must be more than %d", 2*growthBlock)
	}
	return s, nil
}

// moreThanOne reports whether more than one of the conditions is true.
func moreThanOne(conditions ...bool) bool {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n > 1
}
