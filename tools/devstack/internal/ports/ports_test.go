package ports_test

import (
	"errors"
	"net"
	"testing"

	"boxoffice/tools/devstack/internal/ports"
)

func TestCheckFindsAListener(t *testing.T) {
	pool := ports.NewPool(ports.SharedDir())
	defer pool.Close()
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := ports.Check(port); err != nil {
		t.Errorf("nothing listens: got error %v, want none", err)
	}
	l, err := net.Listen("tcp", ports.Addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := ports.Check(port); !errors.Is(err, ports.ErrInUse) {
		t.Errorf("a process listens: got error %v, want %v", err, ports.ErrInUse)
	}
}

func TestPoolsDoNotAllocateTheSamePort(t *testing.T) {
	dir := t.TempDir()
	a, b := ports.NewPool(dir), ports.NewPool(dir)
	seen := map[int]bool{}
	for range 150 { // more than a block each
		for _, p := range []*ports.Pool{a, b} {
			port, err := p.Take()
			if err != nil {
				t.Fatal(err)
			}
			if seen[port] || port < 20000 || port > 29999 {
				t.Errorf("port %d was allocated before (%t) or is out of range", port, seen[port])
			}
			seen[port] = true
		}
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	c := ports.NewPool(dir)
	defer c.Close()
	port, err := c.Take()
	if err != nil || !seen[port] {
		t.Errorf("after Close: got port %d (%v), want one of a closed pool", port, err)
	}
}

func TestTakeSkipsPortsInUse(t *testing.T) {
	dir := t.TempDir()
	first := ports.NewPool(dir)
	port, err := first.Take()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", ports.Addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := ports.NewPool(dir)
	defer second.Close()
	other, err := second.Take()
	if err != nil || other == port {
		t.Errorf("got port %d (%v), want another than %d, which is in use", other, err, port)
	}
}

func TestTakeFailsWhenAllBlocksAreTaken(t *testing.T) {
	dir := t.TempDir()
	var pools []*ports.Pool
	defer func() {
		for _, p := range pools {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 1000 {
		p := ports.NewPool(dir)
		pools = append(pools, p)
		if _, err := p.Take(); err != nil {
			if got, want := len(pools), 101; got > want {
				t.Errorf("the first failure was at pool %d, want at most %d", got, want)
			}
			return
		}
	}
	t.Error("a thousand pools have a block each, want an error after a hundred")
}
