package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"boxoffice/shared/contract/authapi"
	"boxoffice/test/stack"
)

// bench is one run of the command.
type bench struct {
	settings
	out io.Writer

	stack    *stack.Stack
	fixtures *fixtures
	gateway  *server
	auth     *server // the auth app, called without its sidecar
	sidecar  *server // the gateway's
	appToken string  // of the auth app
	apiToken string  // of the gateway's sidecar
	peer     *server
	nats     *nats.Conn
	meter    *meter

	closers []func() error
}

// open starts the stack and everything else that the bench needs. The caller must call
// close, even after an error.
func (b *bench) open(ctx context.Context) error {
	start := time.Now()
	b.printf("starting a stack (the first start builds the programs, which takes minutes)\n")
	if err := b.start(ctx); err != nil {
		return err
	}
	gateway, err := b.stack.Instance("gateway")
	if err != nil {
		return err
	}
	auth, err := b.stack.Instance(authapi.App)
	if err != nil {
		return err
	}
	b.gateway = newServer(b.stack.Gateway, b.clients)
	b.appToken, b.apiToken = auth.AppToken, gateway.APIToken
	b.auth = newServer(local(auth.Port), b.clients)
	b.sidecar = newServer(local(gateway.HTTPPort), b.clients)
	if err := b.startOthers(); err != nil {
		return err
	}
	if b.fixtures, err = createFixtures(ctx, b.stack, b.gateway, b.clients, b.events); err != nil {
		return fmt.Errorf("create accounts and events: %w", err)
	}
	b.printf("ready in %s, with %d clients, %d events\n\n", time.Since(start).Round(time.Second), b.clients, b.events+2)
	return nil
}

// local returns the URL of a port on this machine.
func local(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// start starts the stack as "make run" does. Rate limits are checked but never reached,
// and tokens outlive the run.
func (b *bench) start(ctx context.Context) error {
	data, err := os.MkdirTemp("", "boxoffice-bench-")
	if err != nil {
		return err
	}
	b.onClose(func() error { return os.RemoveAll(data) })
	const unreachable = "=10000000/1m"
	env := []string{
		"RATE_LIMIT_BROWSE" + unreachable, "RATE_LIMIT_WRITE" + unreachable, "RATE_LIMIT_LOGIN" + unreachable,
		"RATE_LIMIT_REFUSALS" + unreachable, "RATE_LIMIT_ADDRESS" + unreachable, "CONNECTIONS_PER_ADDRESS=100000",
		// A client creates thousands of bookings and confirms none. The limit would end the run,
		// and a higher one would let each booking read all those before it.
		"MAX_PENDING_PER_USER=off",
		"ACCESS_TOKEN_TTL=24h", "STREAMS_PER_ADDRESS=100000",
	}
	if b.profile != "" {
		dir, err := filepath.Abs(b.profile)
		if err != nil {
			return err
		}
		env = append(env, "CPU_PROFILE="+dir)
	}
	b.stack, err = stack.Start(stack.Options{ //nolint:contextcheck // GiveUp ends it
		Data: data, Env: env, GiveUp: ctx.Done(), Args: []string{"--replicas", strconv.Itoa(b.replicas)},
	})
	if err != nil {
		return err
	}
	b.onClose(b.stack.Stop)
	return nil
}

// startOthers starts the peer, the connection to NATS and the meter, which are not part
// of the stack.
func (b *bench) startOthers() error {
	c := &caller{}
	if err := operation(b.auth, "/auth.jwks", b.appToken, response{status: http.StatusOK})(c); err != nil {
		return err
	}
	peer, err := startPeer(b.stack.NATSURL, c.res.Body())
	if err != nil {
		return err
	}
	b.onClose(peer.stop)
	b.peer = newServer(peer.url, b.clients)
	if b.nats, err = nats.Connect(b.stack.NATSURL); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	b.onClose(func() error { b.nats.Close(); return nil })
	if b.meter, err = openMeter(b.stack, b.nats, peer.cmd.Process.Pid); err != nil {
		return err
	}
	b.onClose(b.meter.close)
	return nil
}

// onClose registers a function for close.
func (b *bench) onClose(f func() error) { b.closers = append(b.closers, f) }

// close stops what open started, in reverse order.
func (b *bench) close() error {
	var errs []error
	for _, f := range slices.Backward(b.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// printf prints progress and results. It ignores errors: the bench goes on even if its
// output cannot be written.
func (b *bench) printf(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

// measureBlock measures a rung once, including the facts that its requests publish.
func (b *bench) measureBlock(ctx context.Context, r rung, callers []*caller, l limit) (block, error) {
	before, err := b.meter.read(ctx)
	if err != nil {
		return block{}, err
	}
	done, err := measure(ctx, r, callers, l)
	if err != nil {
		return done, err
	}
	if r.publishesFacts {
		end := time.Now()
		if err := b.meter.settle(ctx); err != nil {
			return done, fmt.Errorf("rung %q: %w", r.name, err)
		}
		done.settled = time.Since(end)
	}
	after, err := b.meter.read(ctx)
	done.spent = after.since(before)
	return done, err
}

// measureIdle returns the usage per second of the stack without requests. It measures for
// the duration of a block.
func (b *bench) measureIdle(ctx context.Context) (usage, error) {
	wait := rung{name: "idle", send: func(*caller) error {
		select {
		case <-time.After(b.block):
		case <-ctx.Done():
		}
		return nil
	}}
	done, err := b.measureBlock(ctx, wait, newCallers(1), limit{requests: 1})
	if err != nil {
		return nil, err
	}
	return done.spent.dividedBy(done.took.Seconds()), nil
}
