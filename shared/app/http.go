package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"boxoffice/shared/lifecycle"
	"boxoffice/shared/rpc"
)

// HTTP returns a part that serves HTTP. The part listens when it starts, so an occupied port
// makes the start fail. When it stops, it waits for running requests.
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

// httpServer returns the part that serves the HTTP endpoints of an app. Its health endpoints
// are open to anyone; all other paths require the app's token.
func (a *App) httpServer() lifecycle.Part {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /readyz", a.Readiness())
	mux.Handle("/", rpc.RequireToken(a.AppToken.Reveal(), a.sidecarRequests()))
	return HTTP("http", &http.Server{
		Addr:              a.listenAddr(),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
	})
}

// sidecarRequests returns the handler of the sidecar's requests: a.Server handles
// operations, and a.Mux handles topics and bindings.
func (a *App) sidecarRequests() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Server.Serves(r) {
			a.Server.ServeHTTP(w, r)
			return
		}
		a.Mux.ServeHTTP(w, r)
	})
}
