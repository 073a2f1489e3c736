package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// logSuffix ends the name of a log file. previousSuffix follows it in the
	// name of the previous log file.
	logSuffix       = ".log"
	previousSuffix  = ".1"
	defaultLogLimit = 8 << 20
)

// logDir holds one log file for each process name.
//
// A file is rotated when the supervisor starts and before it would exceed its
// limit: it is renamed to <name>.log.1 and replaces the previous file of that name.
// A process therefore has at most two files.
type logDir struct {
	dir   string
	limit int64

	mu    sync.Mutex
	files map[string]*logFile
}

// openLogDir creates the directory if it is missing, and rotates the files of
// an earlier supervisor.
func openLogDir(dir string, limit int64) (*logDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s cannot be the directory of the logs (%w): move it away", dir, err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*"+logSuffix))
	if err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	for _, path := range old {
		if err := os.Rename(path, path+previousSuffix); err != nil {
			return nil, fmt.Errorf("rotate the log: %w", err)
		}
	}
	return &logDir{dir: dir, limit: limit, files: map[string]*logFile{}}, nil
}

// file returns the log file of a process, and creates it on first use.
func (d *logDir) file(process string) (*logFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[process]; ok {
		return f, nil
	}
	f := &logFile{path: filepath.Join(d.dir, fileName(process)+logSuffix), limit: d.limit}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	d.files[process] = f
	return f, nil
}

func (d *logDir) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		f.close()
	}
}

// fileName returns the name of a process with "-" in place of each character
// that is not a letter, a digit, or one of "._-".
func fileName(process string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, process)
}

// logFile is a file that is rotated before it exceeds its limit. Several
// processes of one name may write to it at a time.
type logFile struct {
	path  string
	limit int64

	mu   sync.Mutex
	f    *os.File
	size int64
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	l.f, l.size = f, 0
	return err
}

// Write appends p, which should end at the end of a line, so that a rotation
// does not cut one.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, os.ErrClosed
	}
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

// rotate starts a new file. If that fails, the log is closed.
func (l *logFile) rotate() error {
	_ = l.f.Close()
	l.f = nil
	if err := os.Rename(l.path, l.path+previousSuffix); err != nil {
		return err
	}
	return l.open()
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}

// shown returns the path as the user sees it: relative to the working directory
// if it is below that.
func (l *logFile) shown() string {
	wd, err := os.Getwd()
	if err != nil {
		return l.path
	}
	if rel, err := filepath.Rel(wd, l.path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return l.path
}
