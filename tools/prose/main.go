// Command prose reports phrases that make readers stumble:
//
//	prose FILE...
//
// It checks the comments of Go files, the text of Markdown pages, and # comments in all
// other files. It prints one line per finding and exits with status 1 if there is any.
package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	n, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prose:", err)
		os.Exit(2)
	}
	if n > 0 {
		os.Exit(1)
	}
}

// run checks the files and returns the number of findings.
func run(files []string, out io.Writer) (int, error) {
	n := 0
	for _, name := range files {
		src, err := os.ReadFile(name) //nolint:gosec // the files that the command line names
		if err != nil {
			return n, err
		}
		for _, l := range prose(name, src) {
			for _, r := range rules() {
				if phrase := r.pattern.FindString(l.text); phrase != "" {
					n++
					_, _ = fmt.Fprintf(out, "%s:%d: %q: %s\n", name, l.number, strings.TrimSpace(phrase), r.advice)
				}
			}
		}
	}
	return n, nil
}

// rule is a kind of phrase to avoid.
type rule struct {
	pattern *regexp.Regexp
	advice  string
}

func rules() []rule {
	const name = "name the component and use an active verb"
	return []rule{
		{regexp.MustCompile(`(?i)\bwho(ever)? (asks|gives|reads|writes|came|comes|sends|waits|wants|leads?|led|holds|has)\b`), name},
		{regexp.MustCompile(`(?i)\b(is|are|was|were) told\b`), name},
		{regexp.MustCompile(`(?i)\b(no|some)body (knows|asks|waits|needs?|may|reads|else|sees)\b`), name},
		{regexp.MustCompile(`(?i)\bwhat (became|becomes) of\b`), "say outcome or result"},
		{regexp.MustCompile(`(?i)\bof (theirs|ours|its own doing)\b`), "use a possessive: their, our, its"},
		{regexp.MustCompile(`(?i)\bthe own\b`), "use a possessive: its own"},
		{regexp.MustCompile(`(?i)\bmakes no sense\b`), "say malformed or invalid"},
		{regexp.MustCompile(`(?i)\b(is|are|was|were) away\b`), "say unreachable or down"},
		{regexp.MustCompile(`(?i)\b(sees to it|started anew|made anew)\b`), "use a plain verb: ensures, restarted, recreated"},
		{regexp.MustCompile(`^(What|Who|Whoever|Whatever|Which|Whichever) [^?]*$`), "start a statement with its subject"},
	}
}

// line is a line of text in a file.
type line struct {
	number int
	text   string
}

// prose returns the lines of a file that people read as text.
func prose(name string, src []byte) []line {
	switch filepath.Ext(name) {
	case ".go":
		return comments(src)
	case ".md":
		return markdown(src)
	default:
		return hashComments(src)
	}
}

// comments returns the text of every comment in a Go file.
func comments(src []byte) []line {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(src))
	s.Init(file, src, nil, scanner.ScanComments)
	var lines []line
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok != token.COMMENT || strings.HasPrefix(text, "//go:") || strings.HasPrefix(text, "//nolint") {
			continue
		}
		first := file.Line(pos)
		for i, l := range strings.Split(strings.Trim(text, "/*"), "\n") {
			lines = append(lines, line{first + i, strings.TrimSpace(l)})
		}
	}
}

// markdown returns the lines of a page outside code blocks.
func markdown(src []byte) []line {
	var lines []line
	isFenced := false
	for i, l := range splitLines(src) {
		switch {
		case strings.HasPrefix(l, "```"):
			isFenced = !isFenced
		case !isFenced && !strings.HasPrefix(l, "    "):
			lines = append(lines, line{i + 1, l})
		}
	}
	return lines
}

// hashComments returns the comments of a file in which # starts a comment, such as YAML.
func hashComments(src []byte) []line {
	var lines []line
	for i, l := range splitLines(src) {
		if _, comment, ok := strings.Cut(l, "# "); ok {
			lines = append(lines, line{i + 1, strings.TrimSpace(comment)})
		}
	}
	return lines
}

// splitLines returns the lines of src without their ends.
func splitLines(src []byte) []string {
	lines := strings.Split(string(src), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}
