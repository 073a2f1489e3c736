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

// usage has the values of counters by name. They are totals since the start of the
// servers, differences between two readings, or values per request or second.
type usage map[string]float64

// Counters of the servers.
const (
	mongoCommands  = "mongo"
	redisTrips     = "redis"
	sidecarCalls   = "app to sidecar"
	sidecarHops    = "sidecar to sidecar"
	sidecarInvokes = "sidecar to app"
)

var counters = []string{mongoCommands, redisTrips, sidecarCalls, sidecarHops, sidecarInvokes}

// cpu returns the name of the counter of a group's processor time in milliseconds.
func cpu(group string) string { return "cpu " + group }

// groups are the groups of processes whose processor time is measured.
var groups = []string{"bench", "peer", "gateway", "auth", "event", "booking", "sidecars", "mongo", "redis", "nats", "jaeger"}

// since returns the difference between u and an earlier reading.
func (u usage) since(before usage) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] -= before[name]
	}
	return d
}

// withoutIdle returns u minus the usage of an idle stack over a number of seconds. idle
// is per second. No counter becomes negative.
func (u usage) withoutIdle(idle usage, seconds float64) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] = max(0, d[name]-idle[name]*seconds)
	}
	return d
}

// add adds the counters of more.
func (u usage) add(more usage) {
	for name, n := range more {
		u[name] += n
	}
}

// average returns the mean of readings that have the same counters.
func average(all []usage) usage {
	sum := usage{}
	for _, u := range all {
		sum.add(u)
	}
	return sum.dividedBy(float64(len(all)))
}

// dividedBy returns u with every counter divided by n.
func (u usage) dividedBy(n float64) usage {
	d := maps.Clone(u)
	for name := range d {
		d[name] /= n
	}
	return d
}

// tickMillis is the length of a clock tick in /proc in milliseconds: USER_HZ is 100 on
// Linux.
const tickMillis = 10

// readCPU adds the processor time of the stack's processes, the peer and this process.
// It adds no counter for a process that it cannot read: one that has ended, or any process
// on a system without /proc.
func (u usage) readCPU(data string, peer int) error {
	text, err := os.ReadFile(filepath.Join(data, "pids")) //nolint:gosec // a file of the stack that the bench started
	if err != nil {
		return err
	}
	add := func(group string, pid string) error {
		ticks, err := ticksOf(pid)
		if err == nil {
			u[cpu(group)] += ticks * tickMillis
		}
		return err
	}
	errs := []error{add("bench", "self"), add("peer", strconv.Itoa(peer))}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("pids: malformed line %q", line)
		}
		errs = append(errs, add(group(fields[2]), fields[0]))
	}
	err = errors.Join(errs...)
	if errors.Is(err, fs.ErrNotExist) { // no /proc on this system, or a process has ended
		return nil
	}
	return err
}

// group returns the group of a process of the stack.
func group(process string) string {
	if strings.HasSuffix(process, "-daprd") {
		return "sidecars"
	}
	return process
}

// ticksOf returns the user and system time of a process in clock ticks; see proc(5).
func ticksOf(pid string) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat")) //nolint:gosec // pid is a number or "self"
	if err != nil {
		return 0, err
	}
	// The second field, the name in parentheses, may contain spaces and parentheses.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of process %s: malformed line %q", pid, text)
	}
	user, err := strconv.ParseFloat(string(fields[11]), 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(string(fields[12]), 64)
	return user + system, err
}

// read returns the current counters of all servers and processes.
func (m *meter) read(ctx context.Context) (usage, error) {
	u := usage{}
	return u, errors.Join(m.readMongo(ctx, u), m.readRedis(ctx, u), m.readSidecars(ctx, u), u.readCPU(m.data, m.peer))
}
