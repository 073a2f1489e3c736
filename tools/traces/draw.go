package traces

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// width is the width of a line in columns.
const width = 100

// String renders the tree in lines of 100 columns. A line has the service, the name of
// the span and the duration. Consecutive siblings that have the same label and no
// children share a line, which has their number and their total duration.
func (s *Span) String() string {
	var b strings.Builder
	s.draw(&b, "", "", 1, s.Duration)
	return b.String()
}

// draw writes the line of the span with the prefix first, and the lines of its
// descendants with the prefix rest. times is the number of siblings that share the line,
// and total is the sum of their durations.
func (s *Span) draw(b *strings.Builder, first, rest string, times int, total time.Duration) {
	text := s.title()
	if times > 1 {
		text += fmt.Sprintf("  ×%d", times)
	}
	duration := formatDuration(total)
	room := width - utf8.RuneCountInString(first) - 1 - utf8.RuneCountInString(duration)
	text = truncate(text, room-2)
	dots := strings.Repeat("·", max(0, room-utf8.RuneCountInString(text)-1))
	fmt.Fprintf(b, "%s%s %s %s\n", first, text, dots, duration)
	for i := 0; i < len(s.Children); {
		c := s.Children[i]
		n := s.repetitions(i)
		var sum time.Duration
		for _, sibling := range s.Children[i : i+n] {
			sum += sibling.Duration
		}
		i += n
		if i == len(s.Children) {
			c.draw(b, rest+"└─ ", rest+"   ", n, sum)
		} else {
			c.draw(b, rest+"├─ ", rest+"│  ", n, sum)
		}
	}
}

// repetitions returns how many consecutive children, starting with the i-th, have the
// same label and no children of their own. It returns at least 1.
func (s *Span) repetitions(i int) int {
	n := 1
	for len(s.Children[i].Children) == 0 && i+n < len(s.Children) &&
		s.Children[i+n].Label() == s.Children[i].Label() && len(s.Children[i+n].Children) == 0 {
		n++
	}
	return n
}

// title returns the label in the form that String prints, without the package name of the
// Dapr API.
func (s *Span) title() string {
	name := strings.TrimPrefix(strings.TrimPrefix(s.Name, "/"), "dapr.proto.runtime.v1.")
	if s.Sidecar {
		return "daprd of " + s.Service + "  " + name
	}
	return s.Service + "  " + name
}

// truncate shortens text to at most room code points, with an ellipsis.
func truncate(text string, room int) string {
	runes := []rune(text)
	if len(runes) <= room {
		return text
	}
	return string(runes[:max(0, room-1)]) + "…"
}

// formatDuration returns d in seconds, milliseconds or microseconds.
func formatDuration(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}
