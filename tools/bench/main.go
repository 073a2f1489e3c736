// Command bench measures Boxoffice. It starts a stack of its own, as "make run"
// does, on free ports and with a data directory that goes with it, and climbs a
// ladder of requests in rounds: each rung in turn, again and again, so that what
// slows the machine down for a while slows all of them. README.md says what each
// rung is and how to read the tables.
//
// It fails, naming the rung, on any answer but the one that a rung is about.
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
	context.AfterFunc(ctx, stop) // from here on a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	clients int
	rounds  int
	block   time.Duration
	rungs   string
	after   int
	profile string
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 3 && args[0] == peerCommand {
		return servePeer(ctx, args[1], []byte(args[2]), stdin, stdout)
	}
	set, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil // the flags have been listed
	}
	if err != nil {
		return err
	}
	b := &bench{settings: set, out: stdout}
	err = b.open(ctx)
	if err == nil {
		if set.after > 0 {
			err = b.compare(ctx)
		} else {
			err = b.climb(ctx)
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
	flags.IntVar(&s.clients, "clients", 32, "how many clients ask at once")
	flags.IntVar(&s.rounds, "rounds", 5, "how often each rung is measured")
	flags.DurationVar(&s.block, "block", 3*time.Second, "how long a rung is measured at a time")
	flags.StringVar(&s.rungs, "rungs", "", "measure only the rungs whose names contain one of these words, separated by commas, and the Dapr hop")
	flags.IntVar(&s.after, "after", 0, "instead of the ladder, compare what a booking costs after so many bookings with what it cost after 200")
	flags.StringVar(&s.profile, "profile", "", "directory for a CPU profile of each of Boxoffice's programs, from its start to its end")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected %q", flags.Arg(0))
	case s.clients < 1 || s.rounds < 1 || s.block <= 0:
		return s, errors.New("-clients, -rounds and -block must be more than nothing")
	case s.after != 0 && s.after <= 2*early:
		return s, fmt.Errorf("-after must be more than %d", 2*early)
	}
	return s, nil
}
