//go:build unix

package main

import (
	"fmt"
	"math"
	"syscall"
)

// maxOpenFiles returns the number of files that the process may open, its RLIMIT_NOFILE.
// The Go runtime has raised the soft limit to the hard one before main runs.
func maxOpenFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	if limit.Cur > math.MaxInt32 { // practically unlimited
		return math.MaxInt32, nil
	}
	return int(limit.Cur), nil
}
