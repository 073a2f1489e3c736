package wiring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// referencedFile matches a path in backticks to a file of this repository.
	referencedFile = regexp.MustCompile("`((?:apps|components|dapr|docs|gateway|shared|test|tools)/[A-Za-z0-9_./-]+\\.(?:go|yaml|md))`")
	// referencedName matches a path in backticks that is followed by a colon and an
	// identifier that the file declares.
	referencedName = regexp.MustCompile("`([a-z][A-Za-z0-9_./-]+\\.(?:go|yaml))`: `([A-Za-z]+)`")
)

func TestDocumentationRefersToCodeThatExists(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob("../../docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(append(pages, records...), "../../README.md", "../../CONTRIBUTING.md", "../../components/README.md")
	files, names := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range referencedFile.FindAllStringSubmatch(string(text), -1) {
			files++
			if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
				t.Errorf("%s refers to %s, which does not exist", filepath.Base(page), m[1])
			}
		}
		for _, m := range referencedName.FindAllStringSubmatch(string(text), -1) {
			names++
			if err := declares(filepath.Join("../..", m[1]), m[2]); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
	if files < 50 || names < 30 {
		t.Errorf("got %d files and %d names, want at least 50 and 30: the patterns miss some", files, names)
	}
}

// declares returns an error unless a Go file declares name, or a YAML file has the
// key name.
func declares(path, name string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	pattern := `(?m)^\s*` + name + `:`
	if strings.HasSuffix(path, ".go") {
		pattern = `(?m)^(func (\([^)]*\) )?|type |var |const |\t)` + name + `\b`
	}
	if !regexp.MustCompile(pattern).Match(text) {
		return fmt.Errorf("%s does not declare %s", path, name)
	}
	return nil
}
