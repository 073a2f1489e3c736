package wiring_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documented maps each section of docs/configuration.md to the directories whose env
// tags the section describes.
var documented = map[string][]string{
	"Every program": {"shared/app", "shared/telemetry"},
	"gateway":       {"gateway"},
	"auth":          {"apps/auth"},
	"event":         {"apps/event"},
	"booking":       {"apps/booking"},
	"tools/streams": {"tools/streams"},
}

// notTagged lists the documented variables that no env tag declares.
var notTagged = []string{"GATEWAY_PORT", "GATEWAY_HOST"}

// setting is one environment variable. fallback is its default, "none" or "required".
type setting struct{ section, name, fallback string }

func TestConfigurationPageMatchesTheEnvTags(t *testing.T) {
	inCode := settingsInCode(t)
	onPage := settingsOnPage(t)
	for _, s := range inCode {
		if !slices.Contains(onPage, s) {
			t.Errorf("docs/configuration.md lacks %s with the default %q under %q", s.name, s.fallback, s.section)
		}
	}
	for _, s := range onPage {
		if !slices.Contains(notTagged, s.name) && !slices.Contains(inCode, s) {
			t.Errorf("docs/configuration.md lists %s with the default %q under %q, but no env tag declares that", s.name, s.fallback, s.section)
		}
	}
	if len(inCode) < 25 {
		t.Errorf("got %d env tags, want at least 25: the parser misses some", len(inCode))
	}
}

// settingsInCode reads the env tags in the documented directories.
func settingsInCode(t *testing.T) []setting {
	t.Helper()
	var all []setting
	for section, dirs := range documented {
		for _, dir := range dirs {
			files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no Go files in %s: %v", dir, err)
			}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				ast.Inspect(f, func(n ast.Node) bool {
					field, ok := n.(*ast.Field)
					if !ok || field.Tag == nil {
						return true
					}
					text, _ := strconv.Unquote(field.Tag.Value)
					tag := reflect.StructTag(text)
					name, option, _ := strings.Cut(tag.Get("env"), ",")
					if name == "" {
						return true
					}
					fallback := tag.Get("default")
					switch {
					case option == "required":
						fallback = "required"
					case fallback == "":
						fallback = "none"
					}
					all = append(all, setting{section, name, fallback})
					return true
				})
			}
		}
	}
	return all
}

var variableName = regexp.MustCompile("`([A-Z][A-Z0-9_]+)`")

// settingsOnPage reads the tables of docs/configuration.md. A row may list several
// variables. Their defaults are then separated by commas, unless they share one default.
func settingsOnPage(t *testing.T) []setting {
	t.Helper()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []setting
	section := ""
	for line := range strings.Lines(string(page)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		names := variableName.FindAllStringSubmatch(cells[1], -1)
		defaults := strings.Split(cells[2], ",")
		for i, name := range names {
			value := defaults[0]
			if len(names) == len(defaults) {
				value = defaults[i]
			}
			value, _, _ = strings.Cut(strings.TrimSpace(value), ":") // without the remark, as in "none: no traces"
			all = append(all, setting{section, name[1], strings.TrimSpace(value)})
		}
	}
	return all
}
