package transport_test

import (
	"testing"

	"boxoffice/apps/auth/internal/transport"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
)

func TestEveryDeclaredOperationIsServed(t *testing.T) {
	kit.EveryDeclaredOperationIsServed(t, "../../../..", authapi.App, func(srv *rpc.Server) {
		transport.Bind(srv, nil) // no operation is called
	})
}
