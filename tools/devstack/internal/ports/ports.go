// Package ports hands out TCP ports of the loopback interface.
//
// Fixed ports are looked at before anything starts on them, so that one that is
// taken is named at once. Free ones come from 20000 to 29999, below the range
// from which the system takes the ports of outgoing connections: a port given
// out here cannot be taken by one of those a moment later. Processes share the
// range by a lock file for each hundred ports.
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

// Loopback is the only address that is used here.
const Loopback = "127.0.0.1"

const (
	first     = 20000
	last      = 29999
	blockSize = 100
)

// ErrInUse means that something listens on a port.
var ErrInUse = errors.New("in use")

// Addr returns the port's address on the loopback interface.
func Addr(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }

// Check returns ErrInUse when something listens on the port.
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

// Pool gives out free ports, none twice, and keeps them until Close.
type Pool struct {
	dir   string
	locks []*os.File
	next  int // the next port to look at
	end   int // the first port after the block at hand
	from  int // the next block to look at
}

// NewPool returns a pool that locks its ports in the directory, which all
// processes on the machine must share.
func NewPool(dir string) *Pool { return &Pool{dir: dir, from: first} }

// SharedDir is the directory for NewPool that all processes of this user share.
func SharedDir() string {
	return filepath.Join(os.TempDir(), "ports-"+strconv.Itoa(os.Getuid()))
}

// Take returns a port on which nothing listens.
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

// takeBlock locks the next hundred ports that no other process has.
func (p *Pool) takeBlock() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("take ports: %w", err)
	}
	for ; p.from <= last; p.from += blockSize {
		f, err := os.OpenFile(filepath.Join(p.dir, strconv.Itoa(p.from)+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("take ports: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			continue
		}
		p.locks = append(p.locks, f)
		p.next, p.end = p.from, p.from+blockSize
		p.from += blockSize
		return nil
	}
	return fmt.Errorf("no free ports between %d and %d", first, last)
}

// Close gives the ports back.
func (p *Pool) Close() error {
	var errs []error
	for _, f := range p.locks {
		errs = append(errs, f.Close())
	}
	p.locks = nil
	return errors.Join(errs...)
}
