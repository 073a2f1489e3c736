// Package redisserver is a Redis that keeps nothing: the real server when there
// is one on the PATH, else a stand-in.
package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Run serves at listen until ctx is done.
//
// The real server takes this process over, so it keeps its pid, and Run does
// not return. On Linux it ends with the process that started this one.
func Run(ctx context.Context, listen string) error {
	path, err := exec.LookPath("redis-server")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return serveStandIn(ctx, listen)
	case err != nil:
		return fmt.Errorf("look for redis-server: %w", err)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("redis address: %w", err)
	}
	argv := []string{
		"redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
		// No password guards it, so the interface must: this is what protected
		// mode asks for, said aloud.
		"--protected-mode", "yes", "--daemonize", "no",
	}
	// The thread that calls exec becomes the process, and what was set for the
	// process at its start belongs to another thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := dieWithParent(); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	if err := syscall.Exec(path, argv, os.Environ()); err != nil { //nolint:gosec // found on the PATH
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// Ready reports whether a server at addr answers and takes writes.
func Ready(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	if reply = strings.TrimSpace(reply); reply != "+PONG" {
		return fmt.Errorf("redis at %s says %q", addr, reply)
	}
	return nil
}
