package transport_test

import (
	"testing"

	"boxoffice/apps/event/internal/transport"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
)

func TestEveryDeclaredOperationIsServed(t *testing.T) {
	kit.EveryDeclaredOperationIsServed(t, "../../../..", eventapi.App, func(srv *rpc.Server) {
		transport.Bind(srv, nil) // no operation is called
	})
}
