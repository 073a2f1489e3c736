package servers

import "syscall"

// attributes give a child a group of its own, so that Ctrl-C reaches the test
// alone, and end it when a test panics and cleans nothing up.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
