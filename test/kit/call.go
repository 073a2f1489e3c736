package kit

import (
	"testing"

	"boxoffice/shared/rpc"
)

// Call calls an operation and returns its response. It fails the test if the call
// returns an error.
func Call[Req, Res any](t testing.TB, client *rpc.Client, op rpc.Op[Req, Res], req Req) Res {
	t.Helper()
	res, err := rpc.Call(t.Context(), client, op, req)
	if err != nil {
		t.Fatalf("%s: %v", op.Method, err)
	}
	return res
}
