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

// record is one line of the pid file: which process ran, and since when. The
// time is what tells it from a later process that got the same number.
type record struct {
	pid     int
	started string // as startTime returns it
	name    string
}

// pidFile lists the running children on disk, replaced as a whole at each
// change so that no reader ever meets half a list.
type pidFile struct {
	path string

	mu      sync.Mutex
	records []record
}

// openPidFile reads the list that an earlier supervisor left.
func openPidFile(path string) (*pidFile, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the path is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return &pidFile{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of processes: %w", err)
	}
	records, err := parseRecords(data)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): see that nothing of an earlier run is left, then delete it", path, err)
	}
	return &pidFile{path: path, records: records}, nil
}

// add appends a process that has just been started.
func (f *pidFile) add(pid int, name string) error {
	started, err := startTime(pid)
	if errors.Is(err, errNoProcess) {
		return nil // it has ended already, and whoever waits for it will see
	}
	if err != nil {
		return fmt.Errorf("read the start time of %s: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, record{pid: pid, started: started, name: name})
	return f.write()
}

// drop removes a process that has ended. A list that cannot be written stays
// too long, which costs the next start a look at a pid that is gone.
func (f *pidFile) drop(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = slices.DeleteFunc(f.records, func(r record) bool { return r.pid == pid })
	_ = f.write()
}

// remove deletes the file; it is called when nothing runs any more.
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
			return nil, fmt.Errorf("line %d is not pid, start time and name", n)
		}
		records = append(records, record{pid: pid, started: fields[1], name: fields[2]})
	}
	return records, lines.Err()
}
