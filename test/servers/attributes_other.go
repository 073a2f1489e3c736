//go:build unix && !linux

package servers

import "syscall"

// attributes give a child a group of its own, so that Ctrl-C reaches the test
// alone.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
