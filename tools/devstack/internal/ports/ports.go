// Package ports checks and allocates TCP ports of the loopback interface.
//
// Check tests a fixed port before a process is started on it. A Pool allocates free
// ports from 20000 to 29999. This range is below the ephemeral range, from which the
// system takes the ports of outgoing connections, so an allocated port does not
// become the port of such a connection before the process listens on it. Processes
// share the range by means of lock files, one for each block of a hundred ports.
package ports

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Loopback is the address of the interface on which ports are checked and allocated.
const Loopback = "127.0.0.1"

const (
	first     = 20000
	last      = 29999
	blockSize = 100
)

// ErrInUse means that a process listens on a port.
var ErrInUse = errors.New("in use")

// Addr returns the port's address on the loopback interface.
func Addr(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }

// Check returns an error that wraps ErrInUse if a process listens on the port.
func Check(port int) error {
	l, err := net.Listen("tcp", Addr(port)) //nolint:noctx // binding does not wait
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is %w", port, ErrInUse)
	}
	if err != nil {
		return fmt.Errorf("port %d: %w", port, err)
	}
	return l.Close()
}

// Pool allocates free ports, each of them once, and keeps them until Close. It must
// not be used concurrently.
type Pool struct {
	dir       string
	locks     []*os.File
	next      int // the next port to try
	end       int // the first port after the current block
	nextBlock int // the first port of the next block to try
}

// NewPool returns a pool whose lock files are in dir. Pools with the same dir do not
// allocate the same port, even in different processes.
func NewPool(dir string) *Pool { return &Pool{dir: dir, nextBlock: first} }

// SharedDir returns the directory that all processes of this user pass to NewPool.
func SharedDir() string {
	return filepath.Join(os.TempDir(), "ports-"+strconv.Itoa(os.Getuid()))
}

// Take returns a port on which no process listens. It returns an error if no block
// of ports is left.
func (p *Pool) Take() (int, error) {
	for {
		for p.next < p.end {
			port := p.next
			p.next++
			if Check(port) == nil {
				return port, nil
			}
		}
		if err := p.takeBlock(); err != nil {
			return 0, err
		}
	}
}

// takeBlock locks the next block that no other pool has locked.
func (p *Pool) takeBlock() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("take ports: %w", err)
	}
	for ; p.nextBlock <= last; p.nextBlock += blockSize {
		f, err := os.OpenFile(filepath.Join(p.dir, strconv.Itoa(p.nextBlock)+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("take ports: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			continue
		}
		p.locks = append(p.locks, f)
		p.next, p.end = p.nextBlock, p.nextBlock+blockSize
		p.nextBlock += blockSize
		return nil
	}
	return fmt.Errorf("no free ports from %d to %d", first, last)
}

// Close makes the ports available to other pools.
func (p *Pool) Close() error {
	var errs []error
	for _, f := range p.locks {
		errs = append(errs, f.Close())
	}
	p.locks = nil
	return errors.Join(errs...)
}
