package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRuntimeConfigMatchesUpstream compares the settings that main.go passes to the
// runtime with those of the official binary. A setting that main.go omits keeps its
// zero value without any error, so this test matters after every upgrade of Dapr.
func TestRuntimeConfigMatchesUpstream(t *testing.T) {
	upstream := filepath.Join(module(t, "github.com/dapr/dapr", "{{.Dir}}"), "cmd", "daprd", "app", "app.go")

	for _, literal := range []string{"runtime.Config", "security.Options"} {
		t.Run(literal, func(t *testing.T) {
			got, want := fields(t, "../main.go", literal), fields(t, upstream, literal)
			if len(want) == 0 {
				t.Fatalf("found no %s in %s", literal, upstream)
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				// Compare only the values of options. Other values may be local
				// variables, whose names may differ.
				isOption := strings.Contains(want[name], "opts.")
				switch value, ok := got[name]; {
				case !ok:
					t.Errorf("%s is not set, want %s", name, want[name])
				case isOption && value != want[name]:
					t.Errorf("%s = %s, want %s", name, value, want[name])
				}
			}
		})
	}
}

// fields returns the expressions of all fields in the composite literals of the
// named type in a Go file. A field of a nested literal has the name "Outer.Inner".
func fields(t *testing.T, path, typeName string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok && types.ExprString(lit.Type) == typeName {
			collect(found, "", lit)
		}
		return true
	})
	return found
}

// collect adds the fields of a composite literal to into.
func collect(into map[string]string, prefix string, lit *ast.CompositeLit) {
	for _, elt := range lit.Elts {
		kv, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		name := prefix + types.ExprString(kv.Key)
		if nested, ok := kv.Value.(*ast.CompositeLit); ok {
			collect(into, name+".", nested)
			continue
		}
		into[name] = types.ExprString(kv.Value)
	}
}

// module returns the output of go list -m for a dependency of this module, in the
// format of template.
func module(t *testing.T, path, template string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", template, path)
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return strings.TrimSpace(string(out))
}
