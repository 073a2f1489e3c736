package supervise

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	// nameWidth aligns the lines of different processes.
	nameWidth = 16
	// maxLine is the length in bytes at which a longer line is broken, so that a
	// process that prints no line end cannot fill the memory.
	maxLine = 16 << 10
	// maxQuoted is the length in bytes to which a line is shortened when an error
	// message quotes it.
	maxQuoted = 300
	// tailLines is the number of last lines that are quoted when a process ends
	// unexpectedly.
	tailLines = 15
)

// terminal writes whole lines of many writers to one output.
type terminal struct {
	mu  sync.Mutex
	out io.Writer
}

func newTerminal(out io.Writer) *terminal {
	if out == nil {
		out = io.Discard
	}
	return &terminal{out: out}
}

// printLine writes one line with a name in front.
func (t *terminal) printLine(name, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(name, line)
}

// printQuote writes a line, and below it the lines of a process, in one piece.
func (t *terminal) printQuote(name, line, process string, quoted []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(name, line)
	for _, q := range quoted {
		t.line(process, "  "+q)
	}
}

func (t *terminal) line(name, line string) {
	_, _ = fmt.Fprintf(t.out, "%-*s | %s\n", nameWidth, name, line)
}

// printRaw writes text as it is, in one piece.
func (t *terminal) printRaw(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprint(t.out, text)
}

// output receives what a process prints. It copies all of it to the log file,
// hands each line to emit, and remembers the last lines. Write never fails: a
// process must not stop because its output cannot be kept.
type output struct {
	log  *logFile
	emit func(line string)
	fail func(error) // is called with the error of a write to log

	mu   sync.Mutex
	rest []byte // an incomplete line
	tail []string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, p...)
	done := 0
	for {
		todo := o.rest[done:]
		end := bytes.IndexByte(todo, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			o.line(todo[:end])
			done += end + 1
		case len(todo) > maxLine:
			o.line(todo[:maxLine])
			done += maxLine
		default:
			o.save(o.rest[:done])
			o.rest = append(o.rest[:0], todo...)
			return len(p), nil
		}
	}
}

// flush completes the last line if it has no line end.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 {
		o.line(o.rest)
		o.save(append(o.rest, '\n'))
		o.rest = nil
	}
}

func (o *output) line(b []byte) {
	line := strings.TrimRight(string(b), "\r")
	if len(o.tail) == tailLines {
		o.tail = append(o.tail[:0], o.tail[1:]...)
	}
	o.tail = append(o.tail, line)
	o.emit(line)
}

func (o *output) save(lines []byte) {
	if len(lines) == 0 {
		return
	}
	if _, err := o.log.Write(lines); err != nil {
		o.fail(err)
	}
}

// last returns the last of the remembered lines that is not empty, shortened.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.tail) - 1; i >= 0; i-- {
		if strings.TrimSpace(o.tail[i]) != "" {
			return shortened(o.tail[i], maxQuoted)
		}
	}
	return ""
}

// lastLines returns the remembered lines, shortened.
func (o *output) lastLines() []string {
	const limit = 1000 // more than maxQuoted, because structured log lines are long
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := make([]string, len(o.tail))
	for i, line := range o.tail {
		lines[i] = shortened(line, limit)
	}
	return lines
}

func shortened(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	return strings.ToValidUTF8(line[:limit], "") + "..."
}
