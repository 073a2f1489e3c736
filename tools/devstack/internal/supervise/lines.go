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
	// maxLine is where a longer line is broken, so that a process that prints
	// no line end cannot fill the memory.
	maxLine = 16 << 10
	// maxQuoted is how much of a last line an error quotes.
	maxQuoted = 300
)

// lines writes whole lines of many writers to one output.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func newLines(out io.Writer) *lines {
	if out == nil {
		out = io.Discard
	}
	return &lines{out: out}
}

func (l *lines) print(name, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%-*s | %s\n", nameWidth, name, line)
}

func (l *lines) printRaw(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprint(l.out, text)
}

// writer returns a writer for the output of one process. With an other output
// its lines go there, as they are.
func (l *lines) writer(name string, other io.Writer) *lineWriter {
	emit := func(line string) { l.print(name, line) }
	if other != nil {
		emit = func(line string) { fmt.Fprintln(other, line) }
	}
	return &lineWriter{emit: emit}
}

// lineWriter cuts what is written into lines. It never fails, since a process
// must not stop because its log cannot be shown.
type lineWriter struct {
	emit func(line string)

	mu   sync.Mutex
	rest []byte
	tail string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		next := end + 1
		if end < 0 && len(w.rest) <= maxLine {
			return len(p), nil
		}
		if end < 0 || end > maxLine {
			end, next = maxLine, maxLine
		}
		w.line(string(w.rest[:end]))
		w.rest = append(w.rest[:0], w.rest[next:]...)
	}
}

// flush emits what stands after the last line end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
}

func (w *lineWriter) line(line string) {
	line = strings.TrimRight(line, "\r")
	if strings.TrimSpace(line) != "" {
		w.tail = line
	}
	w.emit(line)
}

// last returns the last line that was not empty, shortened.
func (w *lineWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tail) > maxQuoted {
		return strings.ToValidUTF8(w.tail[:maxQuoted], "") + "..."
	}
	return w.tail
}
