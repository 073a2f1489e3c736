package kit

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// ExhaustFiles lowers the limit of open files and opens files until there are no more. It
// returns a function that closes up to n of them. The limit is raised when the test ends.
func ExhaustFiles(t *testing.T) (giveBack func(n int)) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	lower := old
	lower.Cur = min(old.Cur, 512)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	var files []int
	giveBack = func(n int) {
		for ; n > 0 && len(files) > 0; n-- {
			_ = syscall.Close(files[len(files)-1])
			files = files[:len(files)-1]
		}
	}
	t.Cleanup(func() {
		giveBack(len(files))
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if errors.Is(err, syscall.EMFILE) {
			return giveBack
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fd)
	}
}
