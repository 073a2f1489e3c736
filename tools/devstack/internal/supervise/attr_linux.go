package supervise

import "syscall"

// childAttr puts a child into its own process group, and makes the kernel kill
// the child when the thread that starts it ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
