//go:build unix && !linux

package process

import "syscall"

// attributes puts the process in a new group. Only Linux can signal it when its
// parent ends.
func attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
