// Package process starts programs beside a test.
package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a program in a group of its own, so that Ctrl-C in the terminal
// reaches the test alone, and returns a channel that tells once how it ended. On
// Linux it gets the signal when the test's process dies without having ended it.
func Start(cmd *exec.Cmd, whenTestDies syscall.Signal) (ended <-chan error, err error) {
	cmd.SysProcAttr = attributes(whenTestDies)
	started, end := make(chan error), make(chan error, 1)
	go func() {
		// The signal comes with the end of the thread that started it, so that one
		// is kept.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			end <- cmd.Wait()
		}
	}()
	return end, <-started
}
