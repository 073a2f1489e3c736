package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPhrasesAreFoundWherePeopleReadThem(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		want       string // the finding, without the path; empty for none
	}{
		"Go comment":                     {"a.go", "package a\n\n// F tells who asks.\nfunc F() {}\n", `3: "who asks": name the component and use an active verb`},
		"Go comment after code":          {"a.go", "package a\n\nvar x = 1 // redis is away\n", `3: "is away": say unreachable or down`},
		"block comment":                  {"a.go", "package a\n\n/* one\nthe own sidecar */\n", `4: "the own": use a possessive: its own`},
		"Go string":                      {"a.go", "package a\n\nvar x = \"who asks\"\n", ""},
		"directive":                      {"a.go", "package a\n\n//go:generate who asks\n", ""},
		"Markdown":                       {"a.md", "# Title\n\nWhat became of it is unknown.\n", `3: "What became of": say outcome or result`},
		"Markdown code":                  {"a.md", "    who asks\n\n```\nwho asks\n```\n", ""},
		"question":                       {"a.md", "What is a hold?\n", ""},
		"statement with a question word": {"a.md", "Which it does.\n", `1: "Which it does.": start a statement with its subject`},
		"YAML comment":                   {"a.yaml", "x: 1 # somebody else\n", `1: "somebody else": name the component and use an active verb`},
		"after a long line":              {"a.md", strings.Repeat("x", 1<<17) + "\nwho asks\n", `2: "who asks": name the component and use an active verb`},
		"Windows line ends":              {"a.md", "Is it?\r\nWhich it does.\r\n", `2: "Which it does.": start a statement with its subject`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			n, err := run([]string{path}, &out)
			if err != nil || (n == 0) != (tt.want == "") {
				t.Fatalf("got %d findings and error %v, want %q: %s", n, err, tt.want, out.String())
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("got %q, want it to contain %q", out.String(), tt.want)
			}
		})
	}
}

func TestUnreadableFileIsAnError(t *testing.T) {
	if _, err := run([]string{filepath.Join(t.TempDir(), "absent.go")}, &strings.Builder{}); err == nil {
		t.Error("got no error, want one")
	}
}
