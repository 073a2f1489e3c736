package traces

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// width is what a line of a drawn tree may take.
const width = 100

// String draws the tree, in lines of at most 100 columns: who, what, how often
// when siblings repeat, and how long.
func (s *Span) String() string {
	var b strings.Builder
	s.draw(&b, "", "", 1, s.Duration)
	return b.String()
}

// draw writes the span behind first, and what is beneath it behind rest. times
// siblings stand in its line; took is the time of all.
func (s *Span) draw(b *strings.Builder, first, rest string, times int, took time.Duration) {
	text := s.title()
	if times > 1 {
		text += fmt.Sprintf("  ×%d", times)
	}
	duration := short(took)
	room := width - utf8.RuneCountInString(first) - 1 - utf8.RuneCountInString(duration)
	text = cut(text, room-2)
	dots := strings.Repeat("·", max(0, room-utf8.RuneCountInString(text)-1))
	fmt.Fprintf(b, "%s%s %s %s\n", first, text, dots, duration)
	for i := 0; i < len(s.Children); {
		c := s.Children[i]
		n := s.repeated(i)
		var sum time.Duration
		for _, twin := range s.Children[i : i+n] {
			sum += twin.Duration
		}
		i += n
		if i == len(s.Children) {
			c.draw(b, rest+"└─ ", rest+"   ", n, sum)
		} else {
			c.draw(b, rest+"├─ ", rest+"│  ", n, sum)
		}
	}
}

// repeated is how many children from the i-th on are alike, one after the other,
// with nothing beneath them: they share a line.
func (s *Span) repeated(i int) int {
	n := 1
	for len(s.Children[i].Children) == 0 && i+n < len(s.Children) &&
		s.Children[i+n].Label() == s.Children[i].Label() && len(s.Children[i+n].Children) == 0 {
		n++
	}
	return n
}

// title is the label in fewer words: the sidecar's API has a long name.
func (s *Span) title() string {
	name := strings.TrimPrefix(strings.TrimPrefix(s.Name, "/"), "dapr.proto.runtime.v1.")
	if s.Sidecar {
		return "daprd of " + s.Service + "  " + name
	}
	return s.Service + "  " + name
}

func cut(text string, room int) string {
	runes := []rune(text)
	if len(runes) <= room {
		return text
	}
	return string(runes[:max(0, room-1)]) + "…"
}

// short is a duration with three digits that tell something.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}
