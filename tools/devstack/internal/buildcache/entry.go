package buildcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// useFile is in each entry. A process that uses the entry holds a shared lock
	// on it. Its modification time is the time of the last use.
	useFile = ".use"
	// lockFormat is the format of the name of a target's lock file. One process
	// at a time builds a target in one directory.
	lockFormat = ".build-%s.lock"
	// workPrefix begins the name of the directory in which a build works.
	workPrefix = ".work-"
	// keepUnused is the number of a target's unused entries that are kept.
	keepUnused = 2
	lockEvery  = 100 * time.Millisecond
)

// use opens an entry for use. The error is fs.ErrNotExist if it is absent.
func use(entry string) (*Built, error) {
	f, err := os.Open(filepath.Join(entry, useFile)) //nolint:gosec // within the cache
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close()) // it is being removed
	}
	if _, err := os.Stat(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close()) // it was removed before the lock
	}
	now := time.Now()
	if err := os.Chtimes(f.Name(), now, now); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Built{Dir: entry, use: f}, nil
}

func touchUse(dir string) error {
	return os.WriteFile(filepath.Join(dir, useFile), nil, 0o644) //nolint:gosec // empty, opened by every user of the entry
}

// belongsTo reports whether name is a target's name, "-" and a suffix without "-".
// The directory "a-b-1" thus belongs to the target "a-b" and not to the target "a".
// The caller removes workPrefix from the name of a work directory.
func belongsTo(name, target string) bool {
	suffix, ok := strings.CutPrefix(name, target+"-")
	return ok && !strings.Contains(suffix, "-")
}

// prune removes the target's unused entries except the most recently used ones.
// An entry that cannot be removed stays until the next build.
func prune(dir, target string) {
	paths, _ := filepath.Glob(filepath.Join(dir, target+"-*", useFile))
	type entry struct {
		file *os.File
		used time.Time
	}
	var unused []entry
	for _, p := range paths {
		if !belongsTo(filepath.Base(filepath.Dir(p)), target) {
			continue
		}
		f, err := os.Open(p) //nolint:gosec // within the cache
		if err != nil {
			continue
		}
		defer f.Close() // holds the lock until prune returns
		info, err := f.Stat()
		if err != nil || syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			continue
		}
		unused = append(unused, entry{file: f, used: info.ModTime()})
	}
	slices.SortFunc(unused, func(a, b entry) int { return b.used.Compare(a.used) })
	for _, e := range unused[min(keepUnused, len(unused)):] {
		// The use file goes first: without it the entry counts as absent.
		if os.Remove(e.file.Name()) == nil {
			_ = os.RemoveAll(filepath.Dir(e.file.Name()))
		}
	}
}

// sweep removes the work directories that killed builds of the target left. The
// caller holds the target's lock.
func sweep(dir, target string) error {
	left, err := filepath.Glob(filepath.Join(dir, workPrefix+target+"-*"))
	if err != nil {
		return err
	}
	for _, p := range left {
		if !belongsTo(strings.TrimPrefix(filepath.Base(p), workPrefix), target) {
			continue
		}
		if err := os.RemoveAll(p); err != nil {
			return err
		}
	}
	return nil
}

// lockTarget waits until no other process builds the target.
func (c *Cache) lockTarget(ctx context.Context, p plan) (unlock func(), err error) {
	path := filepath.Join(p.dir, fmt.Sprintf(lockFormat, p.target.Name))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // empty
	if err != nil {
		return nil, fmt.Errorf("lock the build cache: %w", err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for reported := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the build cache: %w", err), f.Close())
		}
		if !reported {
			reported = true
			c.Report(fmt.Sprintf("waiting for another build of %s in %s", p.target.Name, p.dir))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}
