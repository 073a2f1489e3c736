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
	"strconv"
	"strings"
	"syscall"
)

// Run serves at listen until ctx is done. Clients must send the password, unless it is
// empty.
//
// If redis-server is on the PATH, Run replaces this process with it (execve(2)) and
// does not return. The pid stays the same. On Linux, redis-server is killed when the
// parent of this process ends.
func Run(ctx context.Context, listen, password string) error {
	path, err := exec.LookPath("redis-server")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return serveMiniredis(ctx, listen, password)
	case err != nil:
		return fmt.Errorf("look for redis-server: %w", err)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("redis address: %w", err)
	}
	config, err := passwordFile(password)
	if err != nil {
		return fmt.Errorf("pass the password to redis-server: %w", err)
	}
	argv := []string{
		"redis-server", config, "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
		// Without a password, protected mode (the default) accepts only local connections.
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

// passwordFile returns the path of a configuration file for redis-server that sets the
// password. The file is the end of a pipe, which the program inherits. The password is
// therefore neither on a disk nor in the arguments, which every user of the machine can
// read.
func passwordFile(password string) (path string, err error) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil { // both ends survive an exec
		return "", err
	}
	config := ""
	if password != "" {
		config = "requirepass " + strconv.Quote(password) + "\n"
	}
	_, err = syscall.Write(fds[1], []byte(config)) // less than a pipe holds, so it does not block
	return "/dev/fd/" + strconv.Itoa(fds[0]), errors.Join(err, syscall.Close(fds[1]))
}

// Ready returns nil if a Redis server at addr answers PING, after the password unless that
// is empty.
func Ready(ctx context.Context, addr, password string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	replies := bufio.NewReader(conn)
	if password != "" {
		reply, err := request(conn, replies, "AUTH", password)
		switch {
		case err != nil:
			return err
		case reply != "+OK":
			return fmt.Errorf("redis at %s refuses the password: %s", addr, reply)
		}
	}
	reply, err := request(conn, replies, "PING")
	switch {
	case err != nil:
		return err
	case reply != "+PONG":
		return fmt.Errorf("redis at %s answers PING with %q", addr, reply)
	}
	return nil
}

// request sends a command and returns the first line of the reply.
func request(conn net.Conn, replies *bufio.Reader, command ...string) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write([]byte(text.String())); err != nil {
		return "", fmt.Errorf("send %s to redis: %w", command[0], err)
	}
	reply, err := replies.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("send %s to redis: %w", command[0], err)
	}
	return strings.TrimSpace(reply), nil
}
