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

// bench is one run: a stack, what is asked of it, and what reads its counters.
type bench struct {
	settings
	out io.Writer

	stack *stack.Stack
	set   *stage
	edge  *server // the gateway
	auth  *server // auth itself
	hop   *server // the gateway's sidecar
	hello *server // the peer
	nats  *nats.Conn
	meter *meter

	closers []func() error
}

// open starts everything. Close it, also after an error.
func (b *bench) open(ctx context.Context) error {
	began := time.Now()
	b.say("starting a stack (the first time builds it, which takes minutes)\n")
	if err := b.start(ctx); err != nil {
		return err
	}
	side, err := b.stack.Instance("gateway")
	if err != nil {
		return err
	}
	auth, err := b.stack.Instance(authapi.App)
	if err != nil {
		return err
	}
	b.edge = newServer(b.stack.Gateway, b.clients)
	b.auth = newServer(local(auth.Port), b.clients)
	b.hop = newServer(local(side.HTTPPort), b.clients)
	if err := b.ownServers(); err != nil {
		return err
	}
	if b.set, err = setStage(ctx, b.stack, b.edge, b.clients); err != nil {
		return fmt.Errorf("make accounts and events: %w", err)
	}
	b.say("ready in %s, with %d clients, %d events\n\n", time.Since(began).Round(time.Second), b.clients, manyEvents+2)
	return nil
}

func local(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// start starts the stack as "make run" does. The limits are in the path and never
// reached; tokens outlive the run.
func (b *bench) start(ctx context.Context) error {
	data, err := os.MkdirTemp("", "boxoffice-bench-")
	if err != nil {
		return err
	}
	b.atEnd(func() error { return os.RemoveAll(data) })
	const unreached = "=10000000/1m"
	env := []string{
		"RATE_LIMIT_BROWSE" + unreached, "RATE_LIMIT_WRITE" + unreached, "RATE_LIMIT_LOGIN" + unreached,
		"ACCESS_TOKEN_TTL=24h",
	}
	if b.profile != "" {
		dir, err := filepath.Abs(b.profile)
		if err != nil {
			return err
		}
		env = append(env, "CPU_PROFILE="+dir)
	}
	b.stack, err = stack.Start(stack.Options{Data: data, Env: env, GiveUp: ctx.Done()}) //nolint:contextcheck // GiveUp ends it
	if err != nil {
		return err
	}
	b.atEnd(b.stack.Stop)
	return nil
}

// ownServers starts what is no part of the stack: the peer, and the readers of
// counters.
func (b *bench) ownServers() error {
	ask := &caller{}
	if err := operation(b.auth, "/auth.jwks", b.stack.AppToken, answer{status: http.StatusOK})(ask); err != nil {
		return err
	}
	peer, err := startPeer(b.stack.Env["NATS_URL"], ask.res.Body())
	if err != nil {
		return err
	}
	b.atEnd(peer.stop)
	b.hello = newServer(peer.url, b.clients)
	if b.nats, err = nats.Connect(b.stack.Env["NATS_URL"]); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	b.atEnd(func() error { b.nats.Close(); return nil })
	if b.meter, err = openMeter(b.stack, b.nats, peer.cmd.Process.Pid); err != nil {
		return err
	}
	b.atEnd(b.meter.close)
	return nil
}

func (b *bench) atEnd(f func() error) { b.closers = append(b.closers, f) }

// close takes down what open started, however far it came.
func (b *bench) close() error {
	var errs []error
	for _, f := range slices.Backward(b.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// say writes for who watches. Somebody who has gone away is no reason to stop.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

// block measures a rung once, with all that it set going.
func (b *bench) block(ctx context.Context, r rung, callers []*caller, l limit) (block, error) {
	before, err := b.meter.read(ctx)
	if err != nil {
		return block{}, err
	}
	done, err := measure(ctx, r, callers, l)
	if err != nil {
		return done, err
	}
	if r.books {
		at := time.Now()
		if err := b.meter.settle(ctx); err != nil {
			return done, fmt.Errorf("rung %q: %w", r.name, err)
		}
		done.settled = time.Since(at)
	}
	after, err := b.meter.read(ctx)
	done.spent = after.since(before)
	return done, err
}

// idle returns what the stack does in a second when nobody asks for anything.
func (b *bench) idle(ctx context.Context) (usage, error) {
	nothing := rung{name: "idle", ask: func(*caller) error {
		select {
		case <-time.After(b.settings.block):
		case <-ctx.Done():
		}
		return nil
	}}
	done, err := b.block(ctx, nothing, newCallers(1), limit{requests: 1})
	if err != nil {
		return nil, err
	}
	return done.spent.over(done.took.Seconds()), nil
}
