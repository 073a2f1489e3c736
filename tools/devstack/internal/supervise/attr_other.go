//go:build unix && !linux

package supervise

import "syscall"

// childAttr puts a child into its own process group. These systems have no
// parent-death signal, so the next Open kills what a killed supervisor left.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
