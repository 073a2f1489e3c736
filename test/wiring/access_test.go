package wiring_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// accessList is a sidecar configuration in dapr/access.
type accessList struct {
	Spec struct {
		AccessControl struct {
			DefaultAction string `yaml:"defaultAction"`
			TrustDomain   string `yaml:"trustDomain"`
			Policies      []struct {
				AppID         string `yaml:"appId"`
				DefaultAction string `yaml:"defaultAction"`
				TrustDomain   string `yaml:"trustDomain"`
				Namespace     string
				Operations    []struct {
					Name     string
					HTTPVerb []string `yaml:"httpVerb"`
					Action   string
				}
			}
		} `yaml:"accessControl"`
	}
}

// A call that the code makes must be allowed, or it fails with mTLS. A call that the code
// does not make must be refused, because only an attacker makes it.
func TestAccessListsAllowExactlyTheCallsInTheCode(t *testing.T) {
	called := callsInCode(t)
	for _, a := range apps(t) {
		allowed := allowedCalls(t, a.ID)
		for caller, operations := range called[a.ID] {
			for _, op := range operations {
				if !slices.Contains(allowed[caller], op) {
					t.Errorf("dapr/access/%s.yaml does not let %s call %s, as its code does", a.ID, caller, op)
				}
			}
		}
		for caller, operations := range allowed {
			for _, op := range operations {
				if !slices.Contains(called[a.ID][caller], op) {
					t.Errorf("dapr/access/%s.yaml lets %s call %s, but its code does not", a.ID, caller, op)
				}
			}
		}
	}
}

func TestEveryDeclaredOperationHasACaller(t *testing.T) {
	called := callsInCode(t)
	for app, operations := range declaredOperations(t) {
		for name, op := range operations {
			if !slices.ContainsFunc(slices.Collect(maps.Values(called[app])), func(ops []string) bool { return slices.Contains(ops, op) }) {
				t.Errorf("no program calls %s (%sapi.%s), so no access list can allow it", op, app, name)
			}
		}
	}
}

// allowedCalls returns the operations of an app that each caller may call. It checks that
// the list of the app refuses everything else.
func allowedCalls(t *testing.T, app string) map[string][]string {
	t.Helper()
	file := "../../dapr/access/" + app + ".yaml"
	control := read[accessList](t, file).Spec.AccessControl
	if control.DefaultAction != "deny" || control.TrustDomain != "public" {
		t.Errorf("%s: got the default action %q and the trust domain %q, want deny and public", file, control.DefaultAction, control.TrustDomain)
	}
	allowed := map[string][]string{}
	for _, p := range control.Policies {
		if p.DefaultAction != "deny" || p.TrustDomain != "public" || p.Namespace != "default" {
			t.Errorf("%s: %s: got the default action %q, the trust domain %q and the namespace %q, want deny, public and default",
				file, p.AppID, p.DefaultAction, p.TrustDomain, p.Namespace)
		}
		if _, ok := allowed[p.AppID]; ok {
			t.Errorf("%s lists %s twice, so Dapr ignores one of the two", file, p.AppID)
		}
		allowed[p.AppID] = nil
		for _, op := range p.Operations {
			name, ok := strings.CutPrefix(op.Name, "/")
			if !ok || strings.Contains(name, "*") || strings.Contains(name, "/") || op.Action != "allow" || !slices.Equal(op.HTTPVerb, []string{"POST"}) {
				t.Errorf("%s: %s: got %+v, want one operation, allowed for POST", file, p.AppID, op)
			}
			allowed[p.AppID] = append(allowed[p.AppID], name)
		}
	}
	return allowed
}

// declaredOperations returns the wire names of the declared operations, by app and by the
// name of their variable.
func declaredOperations(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../shared/contract/*api/ops.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no contracts: %v", err)
	}
	all := map[string]map[string]string{}
	for _, file := range files {
		operations := map[string]string{}
		ast.Inspect(parsed(t, file), func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, value := range v.Values {
				if method := methodOf(value); method != "" {
					operations[v.Names[i].Name] = method
				}
			}
			return true
		})
		if len(operations) < 3 {
			t.Fatalf("%s: got the operations %v, want at least three", file, operations)
		}
		all[strings.TrimSuffix(filepath.Base(filepath.Dir(file)), "api")] = operations
	}
	return all
}

// methodOf returns the field Method of the literal of an operation, or "" if the
// expression is something else.
func methodOf(e ast.Expr) string {
	literal, ok := e.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Method" {
				if value, ok := pair.Value.(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(value.Value)
					return text
				}
			}
		}
	}
	return ""
}

// callsInCode returns the sorted operations that programs refer to, by the app that
// serves them and by the caller. An app that refers to its own operation binds it, and
// does not call it.
func callsInCode(t *testing.T) map[string]map[string][]string {
	t.Helper()
	declared := declaredOperations(t)
	calls := map[string]map[string][]string{}
	for caller, dir := range map[string]string{"gateway": "gateway", "auth": "apps/auth", "event": "apps/event", "booking": "apps/booking"} {
		for _, file := range sources(t, dir) {
			ast.Inspect(parsed(t, file), func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, ok := selector.X.(*ast.Ident)
				if !ok {
					return true
				}
				app, isContract := strings.CutSuffix(pkg.Name, "api")
				method, isOperation := declared[app][selector.Sel.Name]
				if !isContract || !isOperation || app == caller {
					return true
				}
				if calls[app] == nil {
					calls[app] = map[string][]string{}
				}
				if !slices.Contains(calls[app][caller], method) {
					calls[app][caller] = append(calls[app][caller], method)
				}
				return true
			})
		}
	}
	return calls
}

// sources returns the Go files of a program, without its tests and test helpers.
func sources(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasSuffix(d.Name(), "test"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: found %d files: %v", dir, len(files), err)
	}
	return files
}

func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
