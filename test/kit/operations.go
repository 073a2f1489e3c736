package kit

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/rpc"
)

// EveryDeclaredOperationIsServed checks that bind serves exactly the operations that an
// app's contract declares in the package shared/contract/<app>api. The root is as in
// DeclaredOperations.
func EveryDeclaredOperationIsServed(t *testing.T, root, app string, bind func(*rpc.Server)) {
	t.Helper()
	srv := rpc.NewServer(rpc.ServerConfig{
		App: app, Token: "test-token", Log: slog.New(slog.DiscardHandler), Tracing: noop.NewTracerProvider(),
	})
	bind(srv)
	if got, want := srv.Methods(), DeclaredOperations(t, root, app+"api"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// DeclaredOperations returns the sorted wire names of the operations that the contract
// package of an app declares, for example "event.get". The root is the path of the
// repository, relative to the test's directory.
func DeclaredOperations(t *testing.T, root, contractPackage string) []string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root, "shared", "contract", contractPackage, "ops.go")) //nolint:gosec // a file of the repository
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`Method: "([a-z.]+)"`).FindAllSubmatch(src, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) == 0 {
		t.Fatalf("no operations in the package %s", contractPackage)
	}
	slices.Sort(names)
	return names
}
