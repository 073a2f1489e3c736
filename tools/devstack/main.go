// Command devstack starts Boxoffice, or only its stores, on this machine and stops
// it again. README.md describes the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"boxoffice/tools/devstack/internal/boxoffice"
	"boxoffice/tools/devstack/internal/natsserver"
	"boxoffice/tools/devstack/internal/redisserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", oneLine(err))
		os.Exit(1)
	}
}

const usage = `usage: devstack <command> [flags]

  up      start everything: stores, sidecars and apps
  infra   start the stores only, for "dapr run -f"
  build   compile the programs that up needs, and exit
  nats    run a NATS server with JetStream
  redis   run a Redis server, with the password in $REDIS_PASSWORD if it is set

"devstack <command> -h" lists the flags of a command.
`

// run runs the command that args name until it ends or ctx is done.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New(`no command; "devstack help" lists them`)
	}
	var err error
	switch command, rest := args[0], args[1:]; command {
	case "up":
		err = runStack(ctx, "up", rest, getenv, stdout, boxoffice.Up)
	case "infra":
		err = runStack(ctx, "infra", rest, getenv, stdout, boxoffice.Infra)
	case "build":
		err = runStack(ctx, "build", rest, getenv, stdout, boxoffice.Build)
	case "nats":
		err = serveNATS(ctx, rest, stdout)
	case "redis":
		err = serveRedis(ctx, rest, getenv, stdout)
	case "help", "-h", "--help":
		_, err = io.WriteString(stdout, usage)
	default:
		err = fmt.Errorf(`no command %q; "devstack help" lists them`, command)
	}
	if errors.Is(err, flag.ErrHelp) {
		return nil // the flags have been printed
	}
	return err
}

// runStack parses the flags of up, infra or build, and calls do.
func runStack(ctx context.Context, name string, args []string, getenv func(string) string, stdout io.Writer,
	do func(context.Context, boxoffice.Options) error,
) error {
	o := boxoffice.Options{Replicas: map[string]int{}, Getenv: getenv, Out: stdout}
	flags := newFlags(name, stdout)
	flags.StringVar(&o.Root, "root", ".", "top of the tree")
	flags.StringVar(&o.Data, "data", "", "data directory (default $DATA_DIR, else .data in the tree)")
	flags.StringVar(&o.RunFile, "run-file", "", "Dapr's multi-app run file (default dapr/dapr.yaml in the tree)")
	flags.BoolVar(&o.FreePorts, "free-ports", false, "use free ports instead of the usual ones")
	if name != "build" {
		flags.BoolVar(&o.JaegerFirst, "jaeger-first", false, "build Jaeger before anything starts, so that no trace is lost")
		flags.BoolVar(&o.Verbose, "v", false, "print the output of every process")
	}
	if name == "up" {
		flags.Func("replicas", "number of instances: of all apps, such as 2, or of some, such as booking=2,gateway=2", func(text string) error {
			return parseReplicas(o.Replicas, text)
		})
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	return do(ctx, o)
}

func serveNATS(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("nats", stdout)
	listen := flags.String("listen", "127.0.0.1:14222", "address")
	data := flags.String("data", ".data/nats", "directory of the streams")
	config := flags.String("config", "", "configuration file with the users, such as dapr/nats-server.conf (default: anyone may do anything)")
	if err := parse(flags, args); err != nil {
		return err
	}
	return natsserver.Run(ctx, natsserver.Config{Listen: *listen, Dir: *data, File: *config})
}

// serveRedis runs a Redis server. Its password is not a flag, because other users of the
// machine can read the arguments.
func serveRedis(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := newFlags("redis", stdout)
	listen := flags.String("listen", "127.0.0.1:16379", "address")
	if err := parse(flags, args); err != nil {
		return err
	}
	return redisserver.Run(ctx, *listen, getenv("REDIS_PASSWORD"))
}

func newFlags(name string, stdout io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("devstack "+name, flag.ContinueOnError)
	flags.SetOutput(stdout)
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}

// parseReplicas adds counts such as "2" or "booking=2,gateway=2" to replicas.
func parseReplicas(replicas map[string]int, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		app, count, ok := strings.Cut(part, "=")
		if !ok {
			app, count = boxoffice.AllApps, part
		}
		n, err := strconv.Atoi(count)
		if app == "" || err != nil || n < 1 || n > boxoffice.MaxReplicas {
			return fmt.Errorf("%q must be a number from 1 to %d, such as 2, or an app and a number, such as booking=2", part, boxoffice.MaxReplicas)
		}
		replicas[app] = n
	}
	return nil
}

// oneLine joins the lines of an error, which errors.Join separates by line ends.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}
