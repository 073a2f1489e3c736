package stack

import "syscall"

// attributes keep Ctrl-C of the terminal away from the devstack, and end it when
// the test dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
