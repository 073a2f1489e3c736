package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrRunning means that another supervisor has locked the directory.
var ErrRunning = errors.New("already running")

// takeLock locks the file until it is closed, which the kernel does when the
// process ends. It writes the pid of this process into the file, for the error
// that a second supervisor returns.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller's path
	if err != nil {
		return nil, fmt.Errorf("%s cannot be the data directory (%w): move it away or name another", filepath.Dir(path), err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := os.ReadFile(path) //nolint:gosec // the same path
		_ = f.Close()
		return nil, fmt.Errorf("%w in %s (pid %s)", ErrRunning, filepath.Dir(path), strings.TrimSpace(string(holder)))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
