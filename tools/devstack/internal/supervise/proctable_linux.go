package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Indexes of fields in /proc/<pid>/stat, counted from the field after the name;
// see proc_pid_stat(5).
const (
	statState     = 0
	statStartTime = 19
)

// startTime returns the boot ID and the clock ticks from boot to the start of the
// process. No other process has both the same pid and the same start time.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	// The name is in parentheses and may contain any character, including ')'.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= statStartTime {
		return "", fmt.Errorf("%s has %d fields", procFile(pid, "stat"), len(fields))
	}
	if fields[statState] == "Z" || fields[statState] == "X" {
		return "", errNoProcess
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(boot)) + ":" + fields[statStartTime], nil
}

// marked returns the pids of other processes whose initial environment contains
// the entry. It skips processes whose environment this user may not read.
func marked(entry string) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, path := range paths {
		environ, err := os.ReadFile(path) //nolint:gosec // under /proc
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
