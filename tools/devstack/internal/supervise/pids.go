package supervise

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// record is one line of the pid file. The start time distinguishes the process
// from a later one with the same pid.
type record struct {
	pid     int
	started string // as startTime returns it
	name    string
}

// pidFile lists the running children on disk. Each change replaces the whole
// file, so a reader never sees only part of the list.
type pidFile struct {
	path string

	mu      sync.Mutex
	records []record
}

// openPidFile reads the list of an earlier supervisor.
func openPidFile(path string) (*pidFile, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the caller's path
	if errors.Is(err, fs.ErrNotExist) {
		return &pidFile{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of processes: %w", err)
	}
	records, err := parseRecords(data)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): make sure that no process of an earlier run is left, then delete it", path, err)
	}
	return &pidFile{path: path, records: records}, nil
}

// add appends a process that has just been started.
func (f *pidFile) add(pid int, name string) error {
	started, err := startTime(pid)
	if errors.Is(err, errNoProcess) {
		return nil // it has ended already
	}
	if err != nil {
		return fmt.Errorf("read the start time of %s: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, record{pid: pid, started: started, name: name})
	return f.write()
}

// drop removes a process that has ended. If the list cannot be written, the
// process stays in it, which only makes the next Open look for a pid that is gone.
func (f *pidFile) drop(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = slices.DeleteFunc(f.records, func(r record) bool { return r.pid == pid })
	_ = f.write()
}

// remove deletes the file. It is called when no listed process runs any more.
func (f *pidFile) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = nil
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the list of processes: %w", err)
	}
	return nil
}

func (f *pidFile) write() error {
	var b bytes.Buffer
	for _, r := range f.records {
		fmt.Fprintf(&b, "%d\t%s\t%s\n", r.pid, r.started, r.name)
	}
	next := f.path + ".next"
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the list of processes: %w", err)
	}
	if err := os.Rename(next, f.path); err != nil {
		return fmt.Errorf("write the list of processes: %w", err)
	}
	return nil
}

func parseRecords(data []byte) ([]record, error) {
	var records []record
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		fields := strings.SplitN(lines.Text(), "\t", 3)
		pid, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) != 3 || pid <= 1 {
			return nil, fmt.Errorf("line %d must be a pid, a start time and a name", n)
		}
		records = append(records, record{pid: pid, started: fields[1], name: fields[2]})
	}
	return records, lines.Err()
}
