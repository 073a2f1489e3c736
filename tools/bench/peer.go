package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/nats-io/nats.go"
)

const (
	peerCommand = "peer"
	// peerNATSVar is the variable with the URL of NATS. It is no argument, because it contains
	// a password.
	peerNATSVar = "NATS_URL"

	helloBody   = "hello"
	natsSubject = "bench.keys"
	natsReply   = `"keys":`
)

// peer is a second process of this program. It is the server for the rungs that do not
// measure Boxoffice. Like all other servers, it does not share a process with the clients.
type peer struct {
	url string
	cmd *exec.Cmd
	in  io.Closer
}

// startPeer starts the peer and waits until it is ready. The peer sends reply to every
// request over NATS.
func startPeer(natsURL string, reply []byte) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, peerCommand, string(reply)) //nolint:gosec,noctx // this program; ended by stop
	cmd.Env = append(os.Environ(), peerNATSVar+"="+natsURL)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the peer did not print its URL: %w", err), p.stop())
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop ends the peer and waits for it.
func (p *peer) stop() error {
	_ = p.in.Close() // the peer ends when its input does
	return p.cmd.Wait()
}

// servePeer is the main function of the peer. It prints its URL and serves until its
// input ends.
func servePeer(ctx context.Context, natsURL string, reply []byte, in io.Reader, out io.Writer) error {
	conn, err := nats.Connect(natsURL)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe(natsSubject, func(m *nats.Msg) { _ = m.Respond(reply) }); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString(helloBody) })
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = app.Shutdown()
	}()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	return app.Listener(listener)
}
