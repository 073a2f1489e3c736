// Command mongolite serves MongoDB's wire protocol from a data directory. It is
// meant for development, tests and demonstrations on one machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"boxoffice/tools/mongolite/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mongolite:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, which is not an error, or until the store fails.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mongolite", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg := server.Config{Log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:17017", "`address` to listen on; port 0 selects a free port")
	flags.StringVar(&cfg.Data, "data", "mongolite-data", "data `directory`; it is created if it does not exist")
	flags.BoolVar(&cfg.TestCommands, "test-commands", false, "enable the command configureFailPoint")
	cache := flags.Int64("cache-mib", 256, "size of the block cache, in `MiB`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	cfg.CacheBytes = *cache << 20
	s, err := server.Start(cfg)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "mongolite ready on mongodb://%s/?replicaSet=mongolite\n", s.Addr())
	select {
	case <-ctx.Done():
	case <-s.Failed():
		return errors.Join(s.Err(), s.Close())
	}
	return s.Close()
}
