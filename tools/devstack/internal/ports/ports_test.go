package ports_test

import (
	"errors"
	"net"
	"testing"

	"boxoffice/tools/devstack/internal/ports"
)

func TestCheck(t *testing.T) {
	pool := ports.NewPool(ports.SharedDir())
	defer pool.Close()
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := ports.Check(port); err != nil {
		t.Errorf("nothing listens: error %v", err)
	}
	l, err := net.Listen("tcp", ports.Addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := ports.Check(port); !errors.Is(err, ports.ErrInUse) {
		t.Errorf("something listens: error %v, want %v", err, ports.ErrInUse)
	}
}

func TestPoolsShareTheRange(t *testing.T) {
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
				t.Errorf("port %d: given out before (%t) or out of range", port, seen[port])
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
		t.Errorf("after Close: port %d (%v), want one that was given back", port, err)
	}
}

func TestTakenPortsAreLeftOut(t *testing.T) {
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
		t.Errorf("port %d (%v), want another than %d", other, err, port)
	}
}

func TestRangeCanBeUsedUp(t *testing.T) {
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
				t.Errorf("failed at pool %d, want at most %d", got, want)
			}
			return
		}
	}
	t.Error("a thousand pools had a block each")
}
