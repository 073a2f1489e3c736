package spectest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	lungoModule = "github.com/256dpi/lungo"
	// lungoAddress is what lungo's tests call the server, in these files.
	lungoAddress = `"mongodb://localhost"`
	// lungoLimit bounds the tests of one of lungo's packages.
	lungoLimit = 3 * time.Minute
)

var lungoAddressFiles = []string{"utils_test.go", filepath.Join("mongokit", "utils_test.go")}

const lungoIntro = `# lungo's tests on mongolite

lungo is MongoDB's matching, updates, projections and sorting as a library, and mongolite's own.
Its tests run on MongoDB and on lungo alike; these are their runs on mongolite.
Written by the tests in spectest, which compare it with each run; see spectest/doc.go.
`

// onServer matches the part of a test's name that says it ran on a server:
// lungo runs most of its tests twice, on MongoDB and on itself.
var onServer = regexp.MustCompile(`/(Mongo|GridFS)(#[0-9]+)?(/|$)`)

// TestLungo runs the half of lungo's tests that talks to MongoDB.
func TestLungo(t *testing.T) {
	s := startServer(t)
	modfile := lungoModfile(t)
	found := report{file: "lungo.md", intro: lungoIntro, known: knownLungo}
	for _, path := range []string{lungoModule, lungoModule + "/mongokit"} {
		p := compile(t, path, "-modfile="+modfile)
		files := testFiles(t, p.dir)
		byFile := map[string][]outcome{}
		for _, o := range p.test(t, "./^(Mongo|GridFS)", lungoLimit, "MONGODB_URI="+s.uri) {
			if onServer.MatchString(o.name) {
				test, _, _ := strings.Cut(o.name, "/")
				byFile[files[test]] = append(byFile[files[test]], o)
			}
		}
		section := section{name: strings.TrimPrefix(path, "github.com/256dpi/"), about: "`" + path + "` " + p.version}
		for file, outcomes := range byFile {
			slices.SortFunc(outcomes, func(a, b outcome) int { return strings.Compare(a.name, b.name) })
			section.rows = append(section.rows, row{file, outcomes})
		}
		slices.SortFunc(section.rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
		found.sections = append(found.sections, section)
	}
	found.judge(t)
	found.check(t, s)
}

// lungoModfile returns a go.mod beside this module's that takes lungo from a
// copy in which the tests' address of the server is $MONGODB_URI. They have no
// other way to be told.
func lungoModfile(t *testing.T) string {
	t.Helper()
	source := strings.TrimSpace(run(t, goCommand(t, "list", "-f", "{{.Module.Dir}}", lungoModule)))
	dir := t.TempDir()
	lungo := filepath.Join(dir, "lungo")
	if err := os.CopyFS(lungo, os.DirFS(source)); err != nil {
		t.Fatalf("copy lungo: %v", err)
	}
	for _, file := range lungoAddressFiles {
		path := filepath.Join(lungo, file)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(content), lungoAddress); n != 1 {
			t.Fatalf("%s has the address %d times, want 1", path, n)
		}
		// The package that reads the environment, without an import to add.
		told := strings.Replace(string(content), lungoAddress, `mustGetenv("MONGODB_URI")`, 1)
		if err := os.WriteFile(path, []byte(told), 0o644); err != nil {
			t.Fatal(err)
		}
		helper := "package " + filepath.Base(filepath.Dir(path)) + `

import "os"

func mustGetenv(name string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	panic(name + " is not set")
}
`
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "getenv_test.go"), []byte(helper), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	modfile := filepath.Join(dir, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, goCommand(t, "mod", "edit", "-replace="+lungoModule+"="+lungo, modfile))
	return modfile
}

// testFiles returns the tests of the package in dir and the files they are in.
func testFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	files := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				files[f.Name.Name] = filepath.Base(path)
			}
		}
	}
	return files
}
