// Package process starts programs that end with the test that started them.
package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a program in a new process group, so that Ctrl-C in the terminal reaches
// only the test. The channel receives the result of cmd.Wait once the program has ended.
// On Linux, the kernel sends the program the signal whenTestDies if the test's process
// ends first.
func Start(cmd *exec.Cmd, whenTestDies syscall.Signal) (ended <-chan error, err error) {
	cmd.SysProcAttr = attributes(whenTestDies)
	started, end := make(chan error), make(chan error, 1)
	go func() {
		// The kernel sends the signal when the thread that started the program ends.
		// The lock keeps that thread alive.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			end <- cmd.Wait()
		}
	}()
	return end, <-started
}
