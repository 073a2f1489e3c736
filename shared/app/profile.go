package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"boxoffice/shared/lifecycle"
)

// profile returns a part that writes a CPU profile of the program, from its start to its
// stop, to the file <name>-<pid>.pprof in dir. It is not meant for production: profiling
// costs a few percent of CPU time, and the file grows.
func profile(dir, name string) lifecycle.Part {
	var file *os.File
	return lifecycle.Part{
		Name: "profile",
		Start: func(context.Context) error {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			var err error
			if file, err = os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", name, os.Getpid()))); err != nil { //nolint:gosec // the operator chooses the directory
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
