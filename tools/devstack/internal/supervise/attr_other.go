//go:build unix && !linux

package supervise

import "syscall"

// childAttr puts a child into a group of its own. There is no parent-death
// signal here: the next start ends what a killed supervisor left.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
