package transport_test

import (
	"testing"

	"boxoffice/apps/booking/internal/transport"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
)

func TestEveryDeclaredOperationIsServed(t *testing.T) {
	kit.EveryDeclaredOperationIsServed(t, "../../../..", bookingapi.App, func(srv *rpc.Server) {
		transport.Bind(srv, nil) // no operation is called
	})
}
