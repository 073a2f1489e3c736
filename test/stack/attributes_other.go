//go:build !linux

package stack

import "syscall"

// attributes keep Ctrl-C of the terminal away from the devstack.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
