//go:build unix && !linux

package supervise

import "syscall"

// childAttr puts a child into its own process group. It sets no parent-death signal,
// which most of these systems lack. The next Open therefore kills what a killed
// supervisor left running.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
