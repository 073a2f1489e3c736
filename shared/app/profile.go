package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"boxoffice/shared/lifecycle"
)

// profile records where the processor time of the whole program goes, from its
// start to its stop, in a file of its own in a directory. It is not for
// production: it costs some percent, and the file grows with what the program
// does.
func profile(dir, name string) lifecycle.Part {
	var file *os.File
	return lifecycle.Part{
		Name: "profile",
		Start: func(context.Context) error {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			var err error
			if file, err = os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", name, os.Getpid()))); err != nil { //nolint:gosec // where the operator says
				return err
			}
			return pprof.StartCPUProfile(file)
		},
		Stop: func(context.Context) error {
			pprof.StopCPUProfile()
			return file.Close()
		},
	}
}
