package buildcache

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// defaultEvery is the time between two reports on running builds.
const defaultEvery = 10 * time.Second

// progress reports on builds that run at the same time.
type progress struct {
	report func(string)
	quit   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	started time.Time // when the first build began
	builds  []*watch  // those that run
}

func newProgress(report func(string), every time.Duration) *progress {
	if every <= 0 {
		every = defaultEvery
	}
	p := &progress{report: report, quit: make(chan struct{}), ended: make(chan struct{})}
	go p.run(every)
	return p
}

// add returns the watch of a build that begins.
func (p *progress) add(target string) *watch {
	w := &watch{target: target}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started = time.Now()
	}
	p.builds = append(p.builds, w)
	return w
}

// remove ends the reports on a build.
func (p *progress) remove(w *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.builds = slices.DeleteFunc(p.builds, func(b *watch) bool { return b == w })
}

// stop ends all reports.
func (p *progress) stop() {
	close(p.quit)
	<-p.ended
}

func (p *progress) run(every time.Duration) {
	defer close(p.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			if line := p.line(); line != "" {
				p.report(line)
			}
		}
	}
}

// line describes the builds that run. It is empty if there are none.
func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.builds) == 0 {
		return ""
	}
	var builds []string
	for _, b := range p.builds {
		builds = append(builds, b.String())
	}
	return fmt.Sprintf("building %s, %s", strings.Join(builds, ", "), time.Since(p.started).Round(time.Second))
}

// watch reads the output of "go build -v": "go: downloading <module>", the
// import path of each package that is compiled, and messages of the compiler.
type watch struct {
	target string

	mu         sync.Mutex
	rest       []byte // an incomplete line
	downloaded int
	compiled   int
	messages   []string
}

// String returns the target with the counts of its downloads and packages.
func (w *watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var counts []string
	if w.downloaded > 0 {
		counts = append(counts, fmt.Sprintf("%d modules downloaded", w.downloaded))
	}
	if w.compiled > 0 {
		counts = append(counts, fmt.Sprintf("%d packages compiled", w.compiled))
	}
	if len(counts) == 0 {
		return w.target
	}
	return w.target + " (" + strings.Join(counts, ", ") + ")"
}

// Write takes output of go build. It never fails.
func (w *watch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		w.line(strings.TrimSpace(string(line)))
		w.rest = bytes.Clone(rest)
	}
}

func (w *watch) line(line string) {
	switch {
	case line == "":
	case strings.HasPrefix(line, "go: downloading "):
		w.downloaded++
	case importPath.MatchString(line):
		w.compiled++
	case !strings.HasPrefix(line, "#"): // "# <package>" is a headline
		w.messages = append(w.messages, line)
	}
}

// failure returns an error of one line with the compiler's first message.
func (w *watch) failure(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n := len(w.messages); n {
	case 0:
		return fmt.Errorf("build %s: %w", w.target, err)
	case 1:
		return fmt.Errorf("build %s: %s", w.target, w.messages[0]) // the message says more than err
	default:
		return fmt.Errorf("build %s: %s (and %d more lines)", w.target, w.messages[0], n-1)
	}
}

// importPath matches a line that is the path of a package and nothing else.
var importPath = regexp.MustCompile(`^[A-Za-z0-9_.~+/-]+$`)
