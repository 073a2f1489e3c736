package app

import (
	"context"
	"errors"
	"net"
	"net/http"

	"boxoffice/shared/lifecycle"
)

// HTTP is a server as a part: it listens when it starts, so that the port is
// taken or the start fails, and lets requests finish when it stops.
func HTTP(name string, srv *http.Server) lifecycle.Part {
	var listener net.Listener
	return lifecycle.Part{
		Name: name,
		Start: func(ctx context.Context) error {
			var err error
			listener, err = new(net.ListenConfig).Listen(ctx, "tcp", srv.Addr)
			return err
		},
		Run: func(context.Context) error {
			if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		Stop: srv.Shutdown,
	}
}
