package process

import "syscall"

// attributes puts the process in a new group, and makes the kernel signal it when its
// parent ends.
func attributes(whenParentDies syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: whenParentDies}
}
