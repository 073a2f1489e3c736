//go:build !unix

package main

import "math"

// maxOpenFiles returns a number that limits nothing, because the system has no
// RLIMIT_NOFILE.
func maxOpenFiles() (int, error) { return math.MaxInt32, nil }
