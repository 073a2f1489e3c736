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

// Places in /proc/<pid>/stat, counted from the field after the name (proc(5)).
const (
	statState     = 0
	statStartTime = 19
)

// startTime returns when a process was started, as a word that no other
// process of that number has: the boot and the clock ticks since.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	// The name stands in parentheses and may hold anything, parentheses too.
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

// marked returns the processes that have the entry in the environment they
// were started with, this one left out. What may not be read is not ours.
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
