package buildcache

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// defaultEvery is the time between two reports on the same build.
const defaultEvery = 10 * time.Second

// progress reads what "go build -v" prints: "go: downloading <module>", the
// import path of each package that is compiled, and the compiler's messages.
type progress struct {
	target  string
	report  func(string)
	started time.Time
	quit    chan struct{}
	ended   chan struct{}

	mu         sync.Mutex
	rest       []byte
	at         string // what it is at
	downloaded int
	compiled   int
	messages   []string
}

func newProgress(target string, report func(string), every time.Duration) *progress {
	if every <= 0 {
		every = defaultEvery
	}
	p := &progress{target: target, report: report, started: time.Now(), quit: make(chan struct{}), ended: make(chan struct{})}
	go p.tell(every)
	return p
}

// stop ends the reports.
func (p *progress) stop() {
	close(p.quit)
	<-p.ended
}

func (p *progress) tell(every time.Duration) {
	defer close(p.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			p.report(p.String())
		}
	}
}

// String says what the build is at.
func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("building %s, %s", p.target, time.Since(p.started).Round(time.Second))
	if p.downloaded > 0 {
		line += fmt.Sprintf(", %d modules downloaded", p.downloaded)
	}
	if p.compiled > 0 {
		line += fmt.Sprintf(", %d packages compiled", p.compiled)
	}
	if p.at != "" {
		line += ", at " + p.at
	}
	return line
}

// Write takes what go build prints; it never fails.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, b...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.line(strings.TrimSpace(string(line)))
		p.rest = bytes.Clone(rest)
	}
}

func (p *progress) line(line string) {
	switch {
	case line == "":
	case strings.HasPrefix(line, "go: downloading "):
		p.downloaded++
		p.at = strings.TrimPrefix(line, "go: downloading ")
	case importPath.MatchString(line):
		p.compiled++
		p.at = line
	case !strings.HasPrefix(line, "#"): // "# <package>" is a headline
		p.messages = append(p.messages, line)
	}
}

// failure makes one line of what the compiler said.
func (p *progress) failure(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := len(p.messages); n {
	case 0:
		return fmt.Errorf("build %s: %w", p.target, err)
	case 1:
		return fmt.Errorf("build %s: %s", p.target, p.messages[0]) //nolint:errorlint // the message says it better
	default:
		return fmt.Errorf("build %s: %s (and %d more lines)", p.target, p.messages[0], n-1)
	}
}

// importPath matches a line that is the path of a package and nothing else.
var importPath = regexp.MustCompile(`^[A-Za-z0-9_.~+/-]+$`)
