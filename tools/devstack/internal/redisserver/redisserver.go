// Package redisserver runs a Redis server without persistence: redis-server if it
// is on the PATH, and otherwise miniredis.
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
// If redis-server is on the PATH, Run replaces this process with it (execve(2)) and
// does not return. The pid stays the same. On Linux, redis-server is killed when the
// parent of this process ends.
func Run(ctx context.Context, listen string) error {
	path, err := exec.LookPath("redis-server")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return serveMiniredis(ctx, listen)
	case err != nil:
		return fmt.Errorf("look for redis-server: %w", err)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("redis address: %w", err)
	}
	argv := []string{
		"redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
		// There is no password. Without one, protected mode (the default) accepts
		// only local connections.
		"--protected-mode", "yes", "--daemonize", "no",
	}
	// The parent-death signal is set for one thread, and the thread that calls exec
	// becomes the process. The same thread must therefore do both.
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

// Ready returns nil if a Redis server at addr answers PING.
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
		return fmt.Errorf("redis at %s answers PING with %q", addr, reply)
	}
	return nil
}
