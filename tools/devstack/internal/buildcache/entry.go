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
	// useFile stands in each entry; whoever uses the entry has a shared lock
	// on it, and its time tells when that began.
	useFile = ".use"
	// lockFile serialises the builds of all processes in one directory.
	lockFile = ".build.lock"
	// workPrefix begins the name of a directory in which a build works.
	workPrefix = ".work-"
	// keepUnused is how many entries of a target that nobody uses stay.
	keepUnused = 2
	lockEvery  = 100 * time.Millisecond
)

// use opens an entry for use. The error is fs.ErrNotExist when it is absent.
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

// prune removes the target's entries that nobody uses, the latest ones apart.
// What cannot be removed stays for the next time.
func prune(dir, target string) {
	paths, _ := filepath.Glob(filepath.Join(dir, target+"-*", useFile))
	type entry struct {
		file *os.File
		used time.Time
	}
	var unused []entry
	for _, p := range paths {
		hash := strings.TrimPrefix(filepath.Base(filepath.Dir(p)), target+"-")
		if strings.Contains(hash, "-") {
			continue // of a target whose name only begins like this one's
		}
		f, err := os.Open(p) //nolint:gosec // within the cache
		if err != nil {
			continue
		}
		defer f.Close() // holds the lock until all is removed
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

// sweep removes what killed builds left; the caller has the lock of builds.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	if err != nil {
		return err
	}
	for _, p := range left {
		if err := os.RemoveAll(p); err != nil {
			return err
		}
	}
	return nil
}

// lockBuilds waits for its turn to build.
func (c *Cache) lockBuilds(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // empty
	if err != nil {
		return nil, fmt.Errorf("lock the build cache: %w", err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for said := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the build cache: %w", err), f.Close())
		}
		if !said {
			said = true
			c.Report("waiting for another build in " + dir)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}
