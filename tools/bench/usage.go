package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is what counters at the servers and the clocks of processes say: since
// their start, or between two readings.
type usage map[string]float64

// Counters at the servers.
const (
	mongoCommands  = "mongo"
	redisTrips     = "redis"
	sidecarCalls   = "app to sidecar"
	sidecarHops    = "sidecar to sidecar"
	sidecarInvokes = "sidecar to app"
)

var counters = []string{mongoCommands, redisTrips, sidecarCalls, sidecarHops, sidecarInvokes}

// cpu is the counter of a group of processes, in milliseconds.
func cpu(group string) string { return "cpu " + group }

// groups are those whose processor time is told apart.
var groups = []string{"bench", "peer", "gateway", "auth", "event", "booking", "sidecars", "mongo", "redis", "nats", "jaeger"}

// since returns what came after an earlier reading.
func (u usage) since(before usage) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] -= before[name]
	}
	return d
}

// less takes off what would have come anyway: so many seconds of idle, which is
// per second. Nothing gets less than none.
func (u usage) less(idle usage, seconds float64) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] = max(0, d[name]-idle[name]*seconds)
	}
	return d
}

func (u usage) add(more usage) {
	for name, n := range more {
		u[name] += n
	}
}

// average of readings that have the same counters.
func average(all []usage) usage {
	sum := usage{}
	for _, u := range all {
		sum.add(u)
	}
	return sum.over(float64(len(all)))
}

func (u usage) over(n float64) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] /= n
	}
	return d
}

// clockTick is Linux's USER_HZ, in milliseconds for each tick.
const clockTick = 10

// readCPU adds the processor time of the stack's processes and of this one.
func (u usage) readCPU(data string, peer int) error {
	text, err := os.ReadFile(filepath.Join(data, "pids")) //nolint:gosec // of the stack that was started
	if err != nil {
		return err
	}
	add := func(group string, pid string) error {
		ticks, err := ticksOf(pid)
		u[cpu(group)] += ticks * clockTick
		return err
	}
	errs := []error{add("bench", "self"), add("peer", strconv.Itoa(peer))}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("pids: %q", line)
		}
		errs = append(errs, add(group(fields[2]), fields[0]))
	}
	err = errors.Join(errs...)
	if errors.Is(err, fs.ErrNotExist) { // not Linux, or a process that has just ended
		return nil
	}
	return err
}

// group is which one a process of the stack belongs to.
func group(process string) string {
	if strings.HasSuffix(process, "-daprd") {
		return "sidecars"
	}
	return process
}

// ticksOf is the processor time of a process, user's and system's.
func ticksOf(pid string) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat")) //nolint:gosec // a number or self
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of process %s: %q", pid, text)
	}
	user, err := strconv.ParseFloat(string(fields[11]), 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(string(fields[12]), 64)
	return user + system, err
}

// read asks all servers.
func (m *meter) read(ctx context.Context) (usage, error) {
	u := usage{}
	return u, errors.Join(m.readMongo(ctx, u), m.readRedis(ctx, u), m.readSidecars(ctx, u), u.readCPU(m.data, m.peer))
}
